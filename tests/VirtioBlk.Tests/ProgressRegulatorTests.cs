using VirtioBlk.Turns;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>When a background stands back for its own slowness, with simulated times.</summary>
public sealed class ProgressRegulatorTests
{
    private const int Read = 1, Write = 2;
    private readonly ProgressRegulator _regulator = new();
    private readonly Random _chance = new(11);

    [Fact]
    public void Ordinary_scatter_is_no_reason_to_rest()
    {
        for (int i = 0; i < 10_000; i++)
        {
            // Half as long to twice as long; one in ten takes twenty times as long.
            Add(Read, 100 * (0.5 + (1.5 * _chance.NextDouble())) * (_chance.Next(10) == 0 ? 20 : 1));
            Assert.Equal(TimeSpan.Zero, _regulator.Rest);
        }
    }

    [Fact]
    public void Kinds_are_not_held_against_each_other()
    {
        for (int i = 0; i < 1000; i++) Add(i % 100 < 90 ? Read : Write, i % 100 < 90 ? 100 : 50_000);
        Assert.Equal(TimeSpan.Zero, _regulator.Rest);
    }

    [Fact]
    public void A_crowded_queue_makes_it_rest_longer_and_longer_up_to_a_limit_and_an_empty_one_ends_it()
    {
        for (int i = 0; i < 100; i++) Add(Read, 100);
        List<TimeSpan> rests = [];
        for (int i = 0; i < 20; i++)
        {
            Add(Read, 500);
            if (rests.LastOrDefault() != _regulator.Rest) rests.Add(_regulator.Rest);
        }

        TimeSpan first = Backoff.FirstRest;
        Assert.Equal([first, 2 * first, 4 * first, Backoff.LongestRest], rests);
        for (int i = 0; i < 3; i++) Add(Read, 100);
        Assert.Equal(TimeSpan.Zero, _regulator.Rest);
    }

    [Fact]
    public void A_disk_that_has_become_slower_for_good_is_taken_as_it_is()
    {
        for (int i = 0; i < 100; i++) Add(Read, 100);
        int resting = 0;
        for (int i = 0; i < 1000; i++)
        {
            Add(Read, 1000);
            if (_regulator.Rest > TimeSpan.Zero) resting++;
        }

        Assert.Equal(TimeSpan.Zero, _regulator.Rest);
        Assert.InRange(resting, 50, 300); // of requests, each of which went through
    }

    private void Add(int kind, double micros) => _regulator.Add(kind, TimeSpan.FromMicroseconds(micros));
}
