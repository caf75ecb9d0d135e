using Os.Tests.Driver;
using Vmm.Tests.Machines;
using Xunit;

namespace Os.Tests;

/// <summary>The state-torture guest on a KVM that uses the processor's virtualization, in its widest profile.</summary>
public sealed class TortureTests : Scenario
{
    private const int Moves = 200;

    [Fact]
    public void Nothing_changes_however_often_it_is_forked_and_switched()
    {
        int seed = Random.Shared.Next();
        using TortureRun run = new(TortureRun.Widest, seed);
        Say($"seed {seed}");
        run.Move(Moves);
        Say($"{run.Moves} moves. {run.Counters}");
    }
}
