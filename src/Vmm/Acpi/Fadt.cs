using System.Buffers.Binary;

namespace Vmm.Acpi;

/// <summary>The FADT of a hardware-reduced machine (ACPI 6.4 §5.2.9): no PM timer, no fixed events, no FACS.</summary>
internal static class Fadt
{
    private const byte Major = 6, Minor = 4;
    private const int Length = 276;

    // Offsets in the table.
    private const int CenturyOffset = 108, BootArchitectureOffset = 109, FlagsOffset = 112, ResetRegisterOffset = 116;
    private const int ResetValueOffset = 128, MinorOffset = 131;
    private const int SleepControlOffset = 244, SleepStatusOffset = 256, HypervisorOffset = 268;

    /// <summary>Offset of the 32-bit address of the DSDT, which is all that SeaBIOS reads.</summary>
    public const int DsdtOffset = 40;
    /// <summary>Offset of the 64-bit address of the DSDT.</summary>
    public const int ExtendedDsdtOffset = 140;

    // "A one says there is none or it is a device": the buttons are not fixed hardware.
    private const uint PowerButtonIsDevice = 1 << 4, SleepButtonIsDevice = 1 << 5;
    private const uint ResetRegisterSupported = 1 << 10, HardwareReduced = 1 << 20;

    private const ushort VgaNotPresent = 1 << 2;

    /// <summary>Builds it, with the DSDT's addresses 0.</summary>
    public static byte[] Build()
    {
        byte[] content = new byte[Length - AcpiTable.HeaderSize];
        Span<byte> Field(int offset) => content.AsSpan(offset - AcpiTable.HeaderSize);

        Field(CenturyOffset)[0] = Devices.Cmos.CenturyRegister;
        BinaryPrimitives.WriteUInt16LittleEndian(Field(BootArchitectureOffset), VgaNotPresent);
        BinaryPrimitives.WriteUInt32LittleEndian(
            Field(FlagsOffset), PowerButtonIsDevice | SleepButtonIsDevice | ResetRegisterSupported | HardwareReduced);
        WriteByteRegister(Field(ResetRegisterOffset), PlatformMap.AcpiBase + PlatformMap.AcpiResetOffset);
        Field(ResetValueOffset)[0] = PlatformMap.AcpiResetValue;
        Field(MinorOffset)[0] = Minor;
        WriteByteRegister(Field(SleepControlOffset), PlatformMap.AcpiBase + PlatformMap.AcpiSleepControlOffset);
        WriteByteRegister(Field(SleepStatusOffset), PlatformMap.AcpiBase + PlatformMap.AcpiSleepStatusOffset);
        "BGKVM"u8.CopyTo(Field(HypervisorOffset));
        return AcpiTable.Build("FACP", Major, content);
    }

    /// <summary>A generic address structure (ACPI 6.4 §5.2.3.2): system memory, 8 bits, byte access.</summary>
    private static void WriteByteRegister(Span<byte> target, ulong address)
    {
        ReadOnlySpan<byte> kind = [0, 8, 0, 1];
        kind.CopyTo(target);
        BinaryPrimitives.WriteUInt64LittleEndian(target[4..], address);
    }
}
