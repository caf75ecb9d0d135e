using Iced.Intel;
using Kvm.Interop;
using TestKit.Guests;
using Vmm.Boot;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Boot;

/// <summary>A made-up kernel, loaded and entered on this host's KVM: it reports what it finds through a port.</summary>
public sealed class BootEntryKvmTests
{
    private const ulong MemoryBytes = 32 << 20;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_kernel_starts_in_64_bit_mode_with_the_zero_page_in_rsi(bool elf)
    {
        using TempDirectory directory = new();
        byte[] code = Assemble(elf ? KernelFile.LoadAddress : KernelFile.LoadAddress + 0x200);
        string kernel = directory.Write("kernel", elf ? KernelFile.Elf(code) : KernelFile.BzImage(code));

        using BareVm vm = new(GuestPrograms.Halt(), MemoryBytes);
        BootEntry entry = LinuxLoader.Load(new LinuxBootConfig(kernel, null, "a=b"), vm.Memory, new(0xE_0000));
        vm.Vcpu.Get(KvmIoctls.KVM_GET_SREGS, out KvmSregs sregs);
        KvmRegs regs = default;
        entry.Apply(ref sregs, ref regs);
        vm.Vcpu.Set(KvmIoctls.KVM_SET_SREGS, sregs);
        vm.Vcpu.Set(KvmIoctls.KVM_SET_REGS, regs);

        Assert.Equal(0x5372_6448u, NextOut(vm)); // "HdrS", at 0x202 of the zero page
        Assert.Equal(0xE_0000u, NextOut(vm));    // acpi_rsdp_addr
        Assert.Equal(0x0062_3D61u, NextOut(vm)); // "a=b" and its zero
        Assert.Equal(0x10u, NextOut(vm));        // CS, far-reloaded through the GDT
        Assert.Equal(0x18u, NextOut(vm));        // SS, reloaded through the GDT
        Assert.Equal(0xDEAD_BEEFu, NextOut(vm)); // stack works
        Assert.Equal(0u, NextOut(vm));           // interrupts are off
        Assert.Equal(KvmExit.Hlt, vm.RunToExit());
    }

    private static uint NextOut(BareVm vm)
    {
        Assert.Equal(KvmExit.Io, vm.RunToExit());
        return BitConverter.ToUInt32(vm.Run.IoData());
    }

    private static byte[] Assemble(ulong address)
    {
        Assembler a = new(64);
        Label reloaded = a.CreateLabel();
        void Report()
        {
            a.mov(dx, GuestPrograms.TestPort);
            a.@out(dx, eax);
        }

        a.mov(eax, __dword_ptr[rsi + 0x202]);
        Report();
        a.mov(eax, __dword_ptr[rsi + 0x070]);
        Report();
        a.mov(ebx, __dword_ptr[rsi + 0x228]);
        a.mov(eax, __dword_ptr[rbx]);
        Report();
        a.push(0x10);
        a.lea(rax, __[reloaded]);
        a.push(rax);
        a.db(0x48, 0xCB); // a 64-bit far return: the assembler has no name for it
        a.Label(ref reloaded);
        a.xor(eax, eax);
        a.mov(ax, cs);
        Report();
        a.mov(ecx, 0x18);
        a.mov(ss, cx);
        a.mov(ds, cx);
        a.xor(eax, eax);
        a.mov(ax, ss);
        Report();
        a.mov(rax, 0xDEAD_BEEFUL);
        a.push(rax);
        a.xor(eax, eax);
        a.pop(rax);
        Report();
        a.pushfq();
        a.pop(rax);
        a.and(eax, 0x200);
        Report();
        a.hlt();
        using MemoryStream code = new();
        a.Assemble(new StreamCodeWriter(code), address);
        return code.ToArray();
    }
}
