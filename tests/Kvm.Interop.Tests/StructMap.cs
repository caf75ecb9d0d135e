namespace Kvm.Interop.Tests;

/// <summary>Every interop structure with its C type, and its fields' C names in their order.</summary>
internal static class StructMap
{
    public static readonly (Type Type, string C, int Size, string Fields)[] All =
    [
        (typeof(IoVec), "struct iovec", 16, "iov_base iov_len"),
        (typeof(KvmClockData), "struct kvm_clock_data", 48, "clock flags pad0 realtime host_tsc pad"),
        (typeof(KvmCpuid2), "struct kvm_cpuid2", 8, "nent padding"),
        (typeof(KvmCpuidEntry2), "struct kvm_cpuid_entry2", 40, "function index flags eax ebx ecx edx padding"),
        (typeof(KvmDebugRegs), "struct kvm_debugregs", 128, "db dr6 dr7 flags reserved"),
        (typeof(KvmDeviceAttr), "struct kvm_device_attr", 24, "flags group attr addr"),
        (typeof(KvmDirtyLog), "struct kvm_dirty_log", 16, "slot padding1 dirty_bitmap"),
        (typeof(KvmDtable), "struct kvm_dtable", 16, "base limit padding"),
        (typeof(KvmEnableCap), "struct kvm_enable_cap", 104, "cap flags args pad"),
        (typeof(KvmIoeventfd), "struct kvm_ioeventfd", 64, "datamatch addr len fd flags pad"),
        (typeof(KvmIrqchip), "struct kvm_irqchip", 520, "chip_id pad chip"),
        (typeof(KvmIrqfd), "struct kvm_irqfd", 32, "fd gsi flags resamplefd pad"),
        (typeof(KvmIrqLevel), "struct kvm_irq_level", 8, "irq level"),
        (typeof(KvmLapicState), "struct kvm_lapic_state", 1024, "regs"),
        (typeof(KvmMpState), "struct kvm_mp_state", 4, "mp_state"),
        (typeof(KvmMsrEntry), "struct kvm_msr_entry", 16, "index reserved data"),
        (typeof(KvmMsrList), "struct kvm_msr_list", 4, "nmsrs"),
        (typeof(KvmMsrs), "struct kvm_msrs", 8, "nmsrs pad"),
        (typeof(KvmPitChannelState), "struct kvm_pit_channel_state", 24,
            "count latched_count count_latched status_latched status read_state write_state write_latch rw_mode mode " +
            "bcd gate count_load_time"),
        (typeof(KvmPitConfig), "struct kvm_pit_config", 64, "flags pad"),
        (typeof(KvmPitState2), "struct kvm_pit_state2", 112, "channels flags reserved"),
        (typeof(KvmRegs), "struct kvm_regs", 144,
            "rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags"),
        (typeof(KvmRunIo), "__typeof__(((struct kvm_run *)0)->io)", 16, "direction size port count data_offset"),
        (typeof(KvmRunMmio), "__typeof__(((struct kvm_run *)0)->mmio)", 24, "phys_addr data len is_write"),
        (typeof(KvmSegment), "struct kvm_segment", 24,
            "base limit selector type present dpl db s l g avl unusable padding"),
        (typeof(KvmSignalMask), "struct kvm_signal_mask", 4, "len"),
        (typeof(KvmSregs), "struct kvm_sregs", 312,
            "cs ds es fs gs ss tr ldt gdt idt cr0 cr2 cr3 cr4 cr8 efer apic_base interrupt_bitmap"),
        (typeof(KvmSregs2), "struct kvm_sregs2", 320,
            "cs ds es fs gs ss tr ldt gdt idt cr0 cr2 cr3 cr4 cr8 efer apic_base flags pdptrs"),
        (typeof(KvmUserspaceMemoryRegion), "struct kvm_userspace_memory_region", 32,
            "slot flags guest_phys_addr memory_size userspace_addr"),
        (typeof(KvmVcpuEvents), "struct kvm_vcpu_events", 64,
            "exception.injected exception.nr exception.has_error_code exception.pending exception.error_code " +
            "interrupt.injected interrupt.nr interrupt.soft interrupt.shadow " +
            "nmi.injected nmi.pending nmi.masked nmi.pad sipi_vector flags " +
            "smi.smm smi.pending smi.smm_inside_nmi smi.latched_init triple_fault.pending " +
            "reserved exception_has_payload exception_payload"),
        (typeof(KvmXcr), "struct kvm_xcr", 16, "xcr reserved value"),
        (typeof(KvmXcrs), "struct kvm_xcrs", 392, "nr_xcrs flags xcrs padding"),
        (typeof(KvmXsave), "struct kvm_xsave", 4096, "region"),
    ];
}
