namespace Cloning.Instances;

/// <summary>The instance's serial console. It lives across machines: whoever is attached stays attached through a reboot.</summary>
public interface IConsole
{
    /// <summary>Sends input to the guest.</summary>
    void Write(ReadOnlySpan<byte> input);

    /// <summary>Sends a serial BREAK (with SysRq enabled, the next byte is a SysRq command).</summary>
    void SendBreak();

    /// <summary>Hands all output from now on to <paramref name="sink"/>, called on a thread of the console's own, never on a vCPU's.</summary>
    /// <param name="sink">Takes output; a slow one loses its oldest pending output rather than slow the guest.</param>
    /// <param name="replay">How many bytes of past output to hand over first, at most what is remembered (64 KiB).</param>
    /// <returns>Detaches when disposed.</returns>
    IDisposable Attach(Action<ReadOnlyMemory<byte>> sink, int replay);
}
