using System.Buffers.Binary;
using Virtio;

namespace Vmm.Devices;

/// <summary>
/// The registers behind the ACPI tables: the generic event device's selector, sleep control and status, reset.
/// </summary>
/// <remarks>Offsets are <see cref="PlatformMap"/>'s. Thread-safe.</remarks>
/// <param name="interrupt">The generic event device's line.</param>
/// <param name="power">Told when the guest resets or switches itself off.</param>
public sealed class AcpiDevice(IInterruptLine interrupt, IPowerControl power) : IMmioDevice
{
    // Sleep control (ACPI 6.4 §4.8.3.7): SLP_TYP in bits 2 to 4, SLP_EN in bit 5.
    private const int SleepTypeShift = 2, SleepTypeMask = 7;
    private const byte SleepEnable = 0x20;

    private uint _events;

    /// <summary>
    /// Presses the power button: the guest's ACPI driver is told, what it does is up to it. Any thread.
    /// </summary>
    public void PressPowerButton()
    {
        Interlocked.Or(ref _events, PlatformMap.AcpiPowerButtonEvent);
        interrupt.Raise();
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        // Reading takes the events. A narrower read would lose some: it gets nothing.
        if (offset == PlatformMap.AcpiEventOffset && data.Length == sizeof(uint))
            BinaryPrimitives.WriteUInt32LittleEndian(data, Interlocked.Exchange(ref _events, 0));
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length != 1) return; // all registers that do something are one byte wide
        if (offset == PlatformMap.AcpiResetOffset)
        {
            if (data[0] == PlatformMap.AcpiResetValue) power.RequestReset();
        }
        else if (offset == PlatformMap.AcpiSleepControlOffset)
        {
            // S5 is the only sleep the tables offer.
            bool off = ((data[0] >> SleepTypeShift) & SleepTypeMask) == PlatformMap.AcpiSleepTypeS5;
            if (off && (data[0] & SleepEnable) != 0) power.RequestPowerOff();
        }
    }

    /// <summary>The device at rest.</summary>
    public AcpiDeviceState Save() => new() { Events = Volatile.Read(ref _events) };

    /// <summary>
    /// Takes a saved state over. When an event is pending then, an edge is sent again, in case the one before was still
    /// on its way when the machine was saved: so load the interrupt controllers first.
    /// </summary>
    /// <param name="state">From <see cref="Save"/>.</param>
    public void Load(AcpiDeviceState state)
    {
        Volatile.Write(ref _events, state.Events);
        if (state.Events != 0) interrupt.Raise();
    }
}
