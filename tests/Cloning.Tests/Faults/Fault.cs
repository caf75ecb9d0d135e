using Cloning.Instances;

namespace Cloning.Tests.Faults;

/// <summary>One row of the table: what befalls which step, and how it must end.</summary>
/// <param name="Id">Short name; the test's argument.</param>
/// <param name="At">Made when this step begins. Prepare: before anything has begun.</param>
/// <param name="Failure">What happens, for people.</param>
/// <param name="Made">How the test makes it happen.</param>
/// <param name="Outcome">How the reboot must end.</param>
/// <param name="Reason">What the user must read, at least.</param>
/// <param name="Inject">Makes it happen.</param>
internal sealed record Fault(
    string Id, RebootPhase At, string Failure, string Made, FaultOutcome Outcome, string Reason, Action<FaultScene> Inject)
{
    /// <summary>Whether it needs a small file system under the instance.</summary>
    public bool OnSmallDisk { get; init; }

    /// <summary>Whether it needs its base image on a block device.</summary>
    public bool OnLoopDevice { get; init; }

    /// <summary>How the new kernel boots.</summary>
    public TestKit.Guests.TinyOsBoot Boot { get; init; }

    /// <summary>Time limit of the request, where it is what ends the reboot.</summary>
    public int TimeoutSeconds { get; init; } = 180;

    /// <summary>Where the step is entered, for the table.</summary>
    public string Step => At switch
    {
        RebootPhase.Prepare => "1 prepare",
        RebootPhase.Fork => "2 fork",
        RebootPhase.ShutDown => "3 shut down",
        RebootPhase.Reset => "4 reset",
        RebootPhase.Boot => "5 boot",
        RebootPhase.Ready => "6 ready",
        RebootPhase.Switch => "7 switch",
        _ => "8 after",
    };
}
