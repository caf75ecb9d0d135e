namespace Vmm.Boot;

/// <summary>
/// Offsets of the boot protocol (Linux Documentation/arch/x86/boot.rst and zero-page.rst): the same in a bzImage's
/// first sector as in the zero page.
/// </summary>
internal static class SetupHeader
{
    // struct boot_params outside of the header
    public const int AcpiRsdpAddress = 0x070;
    public const int E820Entries = 0x1E8;
    public const int E820Table = 0x2D0;
    public const int E820EntrySize = 20;
    public const int ZeroPageSize = 4096;

    // struct setup_header
    public const int Start = 0x1F1;
    public const int SetupSectors = 0x1F1;
    public const int SystemSize = 0x1F4;
    public const int BootFlag = 0x1FE;
    public const int JumpDistance = 0x201;
    public const int Magic = 0x202;
    public const int Version = 0x206;
    public const int LoaderType = 0x210;
    public const int LoadFlags = 0x211;
    public const int RamdiskImage = 0x218;
    public const int RamdiskSize = 0x21C;
    public const int CommandLine = 0x228;
    public const int InitrdAddressMax = 0x22C;
    public const int KernelAlignment = 0x230;
    public const int ExtendedLoadFlags = 0x236;
    public const int CommandLineSize = 0x238;
    public const int PreferredAddress = 0x258;
    public const int InitSize = 0x260;

    /// <summary>
    /// One past the last byte the header can have in the zero page: the next field of struct boot_params is there.
    /// </summary>
    public const int EndLimit = 0x290;

    public const ushort BootFlagValue = 0xAA55;
    public const uint MagicValue = 0x5372_6448; // "HdrS"
    public const byte LoaderUndefined = 0xFF;
    public const byte LoadedHigh = 0x01;
    public const ushort KernelHas64BitEntry = 0x0001;

    /// <summary>The first version with <see cref="ExtendedLoadFlags"/>.</summary>
    public const ushort MinimumVersion = 0x020C;
}
