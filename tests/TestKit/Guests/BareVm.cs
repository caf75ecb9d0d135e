using CowMemory;
using Kvm.Interop;

namespace TestKit.Guests;

/// <summary>
/// The least that runs a guest: one VM, its memory, one vCPU, on the interop layer alone and on the caller's thread.
/// </summary>
public sealed class BareVm : IDisposable
{
    /// <summary>Builds a VM on this host's /dev/kvm and puts a program into it.</summary>
    /// <param name="program">What runs.</param>
    /// <param name="memoryBytes">Size of its memory, bytes, a multiple of 4096.</param>
    /// <param name="irqchip">Whether PIC, IOAPIC, LAPIC and PIT are in the kernel. Without them HLT is an exit.</param>
    public BareVm(GuestProgram program, ulong memoryBytes = 4 << 20, bool irqchip = false)
    {
        Kvm = OpenKvm();
        Vm = new VmFd(Kvm.Call(KvmIoctls.KVM_CREATE_VM));
        File = MemoryFile.Create("bare-vm", memoryBytes);
        Memory = GuestMemory.Map(File, new MemoryLayout(memoryBytes), MemoryView.Shared);
        uint slot = 0;
        foreach (GuestRegion region in Memory.Layout.Regions)
        {
            Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, new KvmUserspaceMemoryRegion
            {
                Slot = slot++,
                GuestPhysicalAddress = region.Start.Value,
                MemorySize = region.Length,
                UserspaceAddress = (ulong)Memory.HostAddress + region.FileOffset,
            });
        }

        Vm.Call(KvmIoctls.KVM_SET_TSS_ADDR, 0xFFFB_D000);
        if (irqchip)
        {
            Vm.Call(KvmIoctls.KVM_CREATE_IRQCHIP);
            Vm.Set(KvmIoctls.KVM_CREATE_PIT2, default);
        }

        Vcpu = new VcpuFd(Vm.Call(KvmIoctls.KVM_CREATE_VCPU, 0));
        Run = new KvmRun(Vcpu, Kvm.Call(KvmIoctls.KVM_GET_VCPU_MMAP_SIZE));
        program.Load(Memory);
        Vcpu.Get(KvmIoctls.KVM_GET_SREGS, out KvmSregs sregs);
        KvmRegs regs = default;
        program.Enter(ref regs, ref sregs);
        Vcpu.Set(KvmIoctls.KVM_SET_SREGS, sregs);
        Vcpu.Set(KvmIoctls.KVM_SET_REGS, regs);
    }

    /// <summary>/dev/kvm.</summary>
    public KvmFd Kvm { get; }

    /// <summary>The VM.</summary>
    public VmFd Vm { get; }

    /// <summary>Its only vCPU.</summary>
    public VcpuFd Vcpu { get; }

    /// <summary>The vCPU's shared page.</summary>
    public KvmRun Run { get; }

    /// <summary>What is behind the guest's memory.</summary>
    public MemoryFile File { get; }

    /// <summary>The guest's memory: shared view.</summary>
    public GuestMemory Memory { get; }

    /// <summary>Opens /dev/kvm.</summary>
    /// <exception cref="LibcException">It is missing or not permitted: tests that need it fail then, on
    /// purpose.</exception>
    public static KvmFd OpenKvm()
    {
        int fd = Libc.open("/dev/kvm", Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        return fd >= 0 ? new KvmFd(fd) : throw LibcException.FromLastError("open", "/dev/kvm");
    }

    /// <summary>Runs until the next exit to user space; a signal is not one.</summary>
    public KvmExit RunToExit()
    {
        while (true)
        {
            int errno = Run.Enter();
            if (errno == 0) return Run.ExitReason;
            if (errno is not (Libc.EINTR or Libc.EAGAIN)) throw new KvmException("KVM_RUN", errno);
        }
    }

    /// <summary>Lets a worker guest finish a command.</summary>
    /// <returns>Its result.</returns>
    public ulong Ask(WorkerCommand command, ulong seed = 0)
    {
        GuestMailbox mailbox = new(Memory);
        mailbox.Post(command, seed);
        KvmExit exit = RunToExit();
        if (exit != KvmExit.Io || Run.IoData()[0] != (byte)command)
            throw new InvalidOperationException($"The worker left with {exit} ({Run.ExitDetail}) instead of answering");
        return mailbox.Result;
    }

    /// <summary>Takes the VM down, then its memory.</summary>
    public void Dispose()
    {
        Run.Dispose();
        Vcpu.Dispose();
        Vm.Dispose();
        Kvm.Dispose();
        Memory.Dispose();
        File.Dispose();
    }
}
