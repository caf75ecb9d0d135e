using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_device_attr</c> (linux/kvm.h): reads or writes an attribute of a device or vCPU.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmDeviceAttr
{
    /// <summary>Must be zero.</summary>
    public uint Flags;
    /// <summary>For a vCPU on x86: 0 KVM_VCPU_TSC_CTRL.</summary>
    public uint Group;
    /// <summary>0 KVM_VCPU_TSC_OFFSET.</summary>
    public ulong Attribute;
    /// <summary>Host address of the value.</summary>
    public ulong Address;
}
