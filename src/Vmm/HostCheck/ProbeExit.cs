using Kvm.Interop;

namespace Vmm.HostCheck;

/// <summary>How a micro-guest came back to the host.</summary>
/// <param name="TimedOut">It did not within its time and was stopped.</param>
/// <param name="Reason">The exit, unless it timed out.</param>
/// <param name="Port">For a port access: the port.</param>
/// <param name="Value">For a port access: the byte written.</param>
internal readonly record struct ProbeExit(bool TimedOut, KvmExit Reason, ushort Port, byte Value)
{
    /// <summary>Whether the guest itself reported, with this byte.</summary>
    internal bool Says(char value) => this == new ProbeExit(false, KvmExit.Io, MicroGuests.Port, (byte)value);

    /// <summary>Whether the guest itself reported, whatever it said.</summary>
    internal bool Reported => this is { TimedOut: false, Reason: KvmExit.Io, Port: MicroGuests.Port };

    /// <summary>In words.</summary>
    public override string ToString() => this switch
    {
        { TimedOut: true } => "the guest hung",
        { Reason: KvmExit.Io, Port: MicroGuests.ExceptionPort } => $"exception {Value} in the guest",
        { Reason: KvmExit.Io } => $"the guest reported 0x{Value:x2} on port 0x{Port:x}",
        { Reason: KvmExit.InternalError } => "KVM could not emulate it",
        { Reason: KvmExit.Shutdown } => "triple fault",
        _ => $"exit {Reason}",
    };
}
