using System.Diagnostics;
using Cloning.Isolation;
using Kvm.Interop;
using Xunit;

namespace Cloning.Tests.Isolation;

/// <summary>When a shadow's vCPUs rest for the sake of memory, with simulated memory and a simulated load.</summary>
public sealed class MemoryRegulatorTests
{
    private readonly Simulation _simulation = new();

    [Fact]
    public void It_rests_again_and_again_while_it_does_harm_and_runs_in_between()
    {
        _simulation.Harm = 2;
        using (MemoryRegulator regulator = _simulation.Regulate())
        {
            Await(() => regulator.Rests >= 5);
            Assert.True(_simulation.Stops > regulator.Rests, "not from the first sight on");
            _simulation.Harm = 1;
            int stops = _simulation.Stops;
            Await(() => _simulation.Stops >= stops + 8);
            int rests = regulator.Rests;
            stops = _simulation.Stops;
            Await(() => _simulation.Stops >= stops + 4);
            Assert.Equal(rests, regulator.Rests);
        }

        Assert.True(_simulation.Runs, "left standing");
    }

    [Fact]
    public void What_is_no_harm_is_no_reason()
    {
        _simulation.Harm = 1.3;
        using MemoryRegulator regulator = _simulation.Regulate();
        Await(() => _simulation.Stops >= 10);
        Assert.Equal(0, regulator.Rests);
    }

    [Fact]
    public void Nobody_is_harmed_where_the_instance_does_nothing()
    {
        (_simulation.Harm, _simulation.InstanceWorks) = (2, false);
        using MemoryRegulator regulator = _simulation.Regulate();
        Await(() => _simulation.Looks >= 8);
        Assert.Equal((0, 0), (_simulation.Stops, regulator.Rests));
    }

    [Fact]
    public void What_was_measured_while_the_load_had_to_make_room_does_not_count()
    {
        (_simulation.Harm, _simulation.LoadHasProcessor) = (2, false);
        using MemoryRegulator regulator = _simulation.Regulate();
        Await(() => _simulation.Looks >= 8);
        Assert.Equal((0, 0), (_simulation.Stops, regulator.Rests));
    }

    [Fact]
    public void At_other_priorities_it_does_nothing()
    {
        (_simulation.Harm, _simulation.IsIdle) = (2, false);
        using MemoryRegulator regulator = _simulation.Regulate();
        Await(() => _simulation.Asked >= 8);
        Assert.Equal((0, 0), (_simulation.Stops, _simulation.Looks - 1));
    }

    [Fact]
    public void It_ends_in_the_middle_of_a_rest_and_lets_go()
    {
        _simulation.Harm = 2;
        using (MemoryRegulator regulator = _simulation.Regulate()) Await(() => regulator.Rests >= 4 && !_simulation.Runs);
        Assert.True(_simulation.Runs, "left standing");
    }

    [Fact]
    public void A_load_whose_threads_have_ended_ends_it()
    {
        _simulation.LoadIsGone = true;
        using (MemoryRegulator regulator = _simulation.Regulate()) Await(() => _simulation.Looks >= 2);
        Assert.Equal((0, true), (_simulation.Stops, _simulation.Runs));
    }

    private static void Await(Func<bool> condition) =>
        Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(60)), "it does not come to that");

    /// <summary>Memory that takes 100 ns, and times as long as is said while the load runs.</summary>
    private sealed class Simulation
    {
        private volatile int _stops, _looks, _asked;
        private volatile bool _runs = true;

        public double Harm { get; set; } = 1;
        public bool InstanceWorks { get; set; } = true;
        public bool LoadHasProcessor { get; set; } = true;
        public bool LoadIsGone { get; set; }
        public bool IsIdle { get; set; } = true;
        public int Stops => _stops;
        public int Looks => _looks;
        public int Asked => _asked;
        public bool Runs => _runs;

        public MemoryRegulator Regulate() => new(
            () =>
            {
                _asked++;
                return IsIdle;
            },
            () =>
            {
                _stops++;
                _runs = false;
                return true;
            },
            () => _runs = true,
            () => _runs ? 100 * Harm : 100,
            () =>
            {
                _looks++;
                return InstanceWorks ? Clock : TimeSpan.Zero;
            },
            () => LoadIsGone ? Libc.CpuTimeOfThread(int.MaxValue >> 4) : LoadHasProcessor ? Clock : TimeSpan.Zero);

        private static TimeSpan Clock => Stopwatch.GetElapsedTime(0);
    }
}
