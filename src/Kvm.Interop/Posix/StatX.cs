using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>The parts of C <c>struct statx</c> (linux/stat.h) used here; its size is the kernel's.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
public struct StatX
{
    /// <summary>Bits of <see cref="Mode"/> that say what kind of file it is.</summary>
    public const int TypeMask = 0xF000;
    /// <summary>A regular file.</summary>
    public const int RegularFile = 0x8000;
    /// <summary>A block device.</summary>
    public const int BlockDevice = 0x6000;
    /// <summary>A directory.</summary>
    public const int Directory = 0x4000;

    /// <summary><c>stx_mode</c>: type and permissions.</summary>
    [FieldOffset(28)] public ushort Mode;
    /// <summary><c>stx_ino</c>.</summary>
    [FieldOffset(32)] public ulong Inode;
    /// <summary><c>stx_size</c>, in bytes; 0 for a block device.</summary>
    [FieldOffset(40)] public ulong SizeBytes;
    /// <summary><c>stx_blocks</c>: allocated space in units of 512 bytes.</summary>
    [FieldOffset(48)] public ulong Blocks;
    /// <summary><c>stx_rdev_major</c>: of a device node, the device's.</summary>
    [FieldOffset(128)] public uint NodeMajor;
    /// <summary><c>stx_rdev_minor</c>.</summary>
    [FieldOffset(132)] public uint NodeMinor;
    /// <summary><c>stx_dev_major</c>: the file system's device.</summary>
    [FieldOffset(136)] public uint DeviceMajor;
    /// <summary><c>stx_dev_minor</c>.</summary>
    [FieldOffset(140)] public uint DeviceMinor;
}
