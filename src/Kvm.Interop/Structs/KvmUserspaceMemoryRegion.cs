using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_userspace_memory_region</c> (linux/kvm.h): one memory slot.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmUserspaceMemoryRegion
{
    /// <summary>Slot number; the high half is the address space.</summary>
    public uint Slot;
    /// <summary>1: log dirty pages, 2: read-only.</summary>
    public uint Flags;
    /// <summary>Page-aligned.</summary>
    public ulong GuestPhysicalAddress;
    /// <summary>Bytes; 0 deletes the slot.</summary>
    public ulong MemorySize;
    /// <summary>Host address, page-aligned.</summary>
    public ulong UserspaceAddress;
}
