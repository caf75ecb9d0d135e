using System.Globalization;
using Xunit;

namespace Vmm.Tests.Machines;

/// <summary>A guest that checks all of its state is moved again and again, and finds nothing changed, lost or doubled.</summary>
public sealed class TortureTests
{
    /// <summary>BGKVM_TORTURE_MOVES: how often. 10,000 once in a while, fewer every day.</summary>
    private static readonly int s_moves =
        int.Parse(Environment.GetEnvironmentVariable("BGKVM_TORTURE_MOVES") ?? "1000", CultureInfo.InvariantCulture);

    [Fact]
    public void Nothing_changes_however_often_it_is_forked_and_switched()
    {
        int seed = Random.Shared.Next();
        using TortureRun run = new(TortureRun.Widest, seed);
        try
        {
            run.Move(s_moves);
        }
        catch (InvalidOperationException e)
        {
            Assert.Fail($"seed {seed}: {e.Message}");
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{run.Moves} moves, seed {seed}. {run.Counters}");
    }
}
