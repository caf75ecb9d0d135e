namespace Vmm.Devices;

/// <summary>Where a serial port's output goes.</summary>
public interface ISerialOutput
{
    /// <summary>
    /// Takes bytes the guest sent, in order. Called on a vCPU thread with the port locked: must not block, must not
    /// throw, must not call back into the port.
    /// </summary>
    /// <param name="bytes">At least one; gone when this returns.</param>
    void Write(ReadOnlySpan<byte> bytes);
}
