using Cloning.Instances;
using CowMemory;
using TestKit.Guests;
using Xunit;

namespace Cloning.Tests.Faults;

/// <summary>Every row of <see cref="FaultList"/>, made to happen on this host: the instance's memory and disks stay as they were.</summary>
public sealed class FaultTests
{
    public static TheoryData<string> Ids => [.. FaultList.All.Select(fault => fault.Id)];

    [Theory]
    [MemberData(nameof(Ids))]
    public async Task Whatever_happens_the_instance_is_unharmed(string id)
    {
        Fault fault = FaultList.All.Single(one => one.Id == id);
        using FaultScene scene = new(fault);
        TestInstance guest = scene.Guest;
        guest.Ask('F', "F");
        Assert.True(scene.Record());
        guest.Install('2', fault.Boot);
        bool happened = false;
        guest.Entered = phase =>
        {
            if (phase != fault.At) return;
            happened = true;
            fault.Inject(scene);
        };
        if (fault.Outcome == FaultOutcome.Refused)
        {
            InstanceException refused = await Assert.ThrowsAsync<InstanceException>(() => Reboot(scene, fault));
            Assert.Equal(4, refused.ExitCode);
            Assert.Contains(fault.Reason, refused.Message, StringComparison.Ordinal);
        }
        else
        {
            RebootReport report = await Reboot(scene, fault);
            bool switched = fault.Outcome is FaultOutcome.Switched or FaultOutcome.SwitchedAndStopped;
            Assert.Equal((switched ? RebootOutcome.Switched : RebootOutcome.Aborted, switched), (report.Outcome, report.Reason is null));
            if (!switched) AssertUnderstandable(report.Reason!, fault.Reason);
        }

        Assert.True(happened);
        scene.Undo();
        guest.Entered = null;
        if (scene.Stopping is { } stopping)
        {
            Assert.True(await stopping);
            await guest.Instance.Completion;
            Assert.Equal(InstanceState.Stopped, guest.Instance.Status().State);
        }
        else
        {
            await AssertRunsOn(scene, fault);
        }

        scene.AssertRecordsKept();
    }

    private static Task<RebootReport> Reboot(FaultScene scene, Fault fault) =>
        scene.Guest.RebootInBackground(TimeSpan.FromSeconds(fault.TimeoutSeconds));

    private static async Task AssertRunsOn(FaultScene scene, Fault fault)
    {
        TestInstance guest = scene.Guest;
        if (fault.Outcome == FaultOutcome.GuestReboots)
        {
            if (fault.Boot == TinyOsBoot.Hangs) return; // it boots what is installed: the kernel that hangs
            guest.WaitFor("login: ");
        }

        bool same = fault.Outcome is FaultOutcome.Aborted or FaultOutcome.Refused;
        guest.Ask('v', same ? "<1>" : "<2>");
        if (same) guest.Ask('C', "C"); // every page holds what it held before
        Assert.Equal(MemoryView.Shared, guest.Instance.Machine.Memory.View);
        Assert.True(scene.Record());
        InstanceStatus status = guest.Instance.Status();
        Assert.Equal((InstanceState.Running, null, null), (status.State, status.ShadowPid, status.BackgroundPhase));

        guest.Ask('F', "F"); // another pattern: a page of before would show
        guest.Install('3');
        guest.Entered = phase =>
        {
            if (phase == RebootPhase.ShutDown) guest.Ask('C', "C");
        };
        RebootReport next = await guest.RebootInBackground();
        Assert.Equal((RebootOutcome.Switched, (string?)null), (next.Outcome, next.Reason));
        guest.Ask('v', "<3>");
        Assert.True(scene.Record());
        await guest.Instance.Upkeep.Work;
        Assert.Equal(
            guest.Instance.Manifest.Chains[0].Skip(1).Select(layer => layer.Path).Order(),
            Directory.EnumerateFiles(scene.Layers).Select(Path.GetFileName).Order());
    }

    private static void AssertUnderstandable(string reason, string part)
    {
        Assert.Contains(part, reason, StringComparison.Ordinal);
        Assert.DoesNotContain(reason, char.IsControl);
        Assert.DoesNotContain("Exception", reason, StringComparison.Ordinal);
        Assert.True(reason.Length > 10);
    }
}
