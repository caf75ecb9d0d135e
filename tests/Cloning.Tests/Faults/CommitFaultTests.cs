using Cloning.Instances;
using Xunit;

namespace Cloning.Tests.Faults;

/// <summary>The commit has been renamed into place, and the host cannot make that durable.</summary>
public sealed class CommitFaultTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_commit_that_is_not_durable_deletes_nothing_and_no_flush_completes_until_it_is(bool byNextReboot)
    {
        using TestInstance guest = new('1');
        Instance instance = guest.Instance;
        Action<string> sync = instance.ManifestFile.Sync;
        string[] before = [];
        guest.Install('2');
        guest.Entered = phase =>
        {
            if (phase != RebootPhase.After) return;
            before = LayerFiles(guest);
            instance.ManifestFile.Sync = _ => throw new IOException("simulated: the folder cannot be synced");
        };
        RebootReport report = await guest.RebootInBackground();
        Assert.Equal((RebootOutcome.Switched, (string?)null), (report.Outcome, report.Reason));
        guest.Entered = null;
        guest.Ask('v', "<2>");
        Assert.False(guest.Record(30_000), "a FLUSH completed that a power cut could undo");
        Assert.Equal(3, before.Length); // of before the fork, and of either side
        Assert.Equal(before, LayerFiles(guest));

        instance.ManifestFile.Sync = sync;
        if (byNextReboot)
        {
            Assert.Equal(RebootOutcome.Switched, (await guest.RebootInBackground()).Outcome);
        }
        else
        {
            instance.Upkeep.Pause();
            instance.Upkeep.Resume();
        }

        await instance.Upkeep.Work;
        Assert.True(guest.Record(30_001));
        Assert.Equal(2, LayerFiles(guest).Length);
    }

    private static string[] LayerFiles(TestInstance guest) => [.. Directory.GetFiles(guest.Files.Layers).Order()];
}
