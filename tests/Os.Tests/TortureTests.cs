using Os.Tests.Driver;
using Vmm.Tests.Machines;
using Xunit;

namespace Os.Tests;

/// <summary>The state-torture guest on a KVM that uses the processor's virtualization, in its widest profile.</summary>
public sealed class TortureTests : Scenario
{
    private const int Moves = 200, TimerMoves = 1000;

    [Fact]
    public void Nothing_changes_however_often_it_is_forked_and_switched()
    {
        int seed = Random.Shared.Next();
        using TortureRun run = new(TortureRun.Widest, seed);
        Say($"seed {seed}");
        run.Move(Moves);
        Say($"{run.Moves} moves. {run.Counters}");
    }

    [Fact]
    public void A_one_shot_timer_fires_once_however_late_the_host_s_is()
    {
        ulong fired = OneShotTimerRun.Move(TimerMoves);
        Say($"fired {fired} times in {TimerMoves} moves");
        Assert.True(fired >= TimerMoves);
    }
}
