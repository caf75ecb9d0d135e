using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_dirty_log</c> (linux/kvm.h): asks for the dirty bitmap of a slot.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmDirtyLog
{
    /// <summary>Slot number.</summary>
    public uint Slot;
    /// <summary>Unused.</summary>
    public uint Padding;
    /// <summary>Host address of the bitmap: a bit a page, in multiples of 64.</summary>
    public ulong DirtyBitmap;
}
