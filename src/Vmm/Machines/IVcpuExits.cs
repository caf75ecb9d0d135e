using Kvm.Interop;

namespace Vmm.Machines;

/// <summary>Who answers a vCPU's exits to user space. Called on the vCPU's thread.</summary>
internal interface IVcpuExits
{
    /// <summary>Handles what <see cref="KvmRun.ExitReason"/> says.</summary>
    void Handle(Vcpu vcpu, KvmRun run);

    /// <summary>The vCPU cannot go on.</summary>
    void Failed(Vcpu vcpu, Exception cause);
}
