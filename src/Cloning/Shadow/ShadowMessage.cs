using System.Text.Json.Serialization;
using Cloning.Disks;
using Cloning.Instances;
using Vmm.Machines;

namespace Cloning.Shadow;

/// <summary>What instance and shadow tell each other over their socket pair. Descriptors travel beside a message, by SCM_RIGHTS.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(Hello), "hello")]
[JsonDerivedType(typeof(Begin), "begin")]
[JsonDerivedType(typeof(Phase), "phase")]
[JsonDerivedType(typeof(CountsAsReady), "countsAsReady")]
[JsonDerivedType(typeof(Ready), "ready")]
[JsonDerivedType(typeof(Failed), "failed")]
public abstract record ShadowMessage
{
    /// <summary>Shadow → instance: alive, and able to make machines. Sent before anything is paused.</summary>
    /// <param name="StateVersion">Its <see cref="MachineState.CurrentVersion"/>: 0 from a bgkvm that did not say yet.</param>
    public sealed record Hello(int StateVersion) : ShadowMessage;

    /// <summary>
    /// Instance → shadow, after the fork: everything it needs. Three descriptors come with it: the frozen memory file,
    /// the new, empty memory file that the rebooted OS lives in, and the page that tells of the instance's disks.
    /// </summary>
    /// <param name="Config">The instance's configuration; kernel and initrd are read again from the paths in it.</param>
    /// <param name="Chains">A chain for each system disk: the frozen layers, and the shadow's own overlay on top.</param>
    /// <param name="State">The machine at the fork.</param>
    /// <param name="IsUp">Whether the OS had come up by then.</param>
    /// <param name="Shutdown">How to end the old OS.</param>
    /// <param name="ShutdownTimeout">How long the old OS may take before it is reset.</param>
    /// <param name="Layers">Where relative layer paths start.</param>
    /// <param name="Log">Where the guest's console output goes.</param>
    /// <param name="Console">The socket at which the new OS's console is served.</param>
    public sealed record Begin(
        InstanceConfig Config,
        IReadOnlyList<IReadOnlyList<Layer>> Chains,
        MachineState State,
        bool IsUp,
        ShutdownMode Shutdown,
        TimeSpan ShutdownTimeout,
        string Layers,
        string Log,
        string Console) : ShadowMessage;

    /// <summary>Shadow → instance: a step begins.</summary>
    /// <param name="Step">Which.</param>
    /// <param name="Note">What did not work out in the step before, or null.</param>
    /// <param name="LogBytes">How long the log of its console is at that moment.</param>
    public sealed record Phase(RebootPhase Step, string? Note = null, long LogBytes = 0) : ShadowMessage;

    /// <summary>Instance → shadow: the ready command has succeeded.</summary>
    public sealed record CountsAsReady : ShadowMessage;

    /// <summary>Shadow → instance: the new OS is up. Its vCPUs have stopped, its overlay is durable; the shadow ends after sending this.</summary>
    /// <param name="State">The machine at that moment.</param>
    /// <param name="LastLine">What the console's last line says, normally the login prompt: nobody who is attached to the instance has seen it.</param>
    /// <param name="Announced">Whether it has said hello on the guest channel.</param>
    public sealed record Ready(MachineState State, string LastLine, bool Announced) : ShadowMessage;

    /// <summary>Shadow → instance: it cannot go on. It ends after sending this.</summary>
    /// <param name="Reason">Why, in one line.</param>
    /// <param name="LastLines">What the new OS printed last, if it is the OS that failed.</param>
    public sealed record Failed(string Reason, IReadOnlyList<string>? LastLines = null) : ShadowMessage;
}
