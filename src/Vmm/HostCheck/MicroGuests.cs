namespace Vmm.HostCheck;

/// <summary>
/// The machine code of the micro-guests, assembled by hand: 64-bit, a comment with the assembly beside each instruction
/// (a test holds bytes and comments against a disassembler).
/// </summary>
internal static class MicroGuests
{
    /// <summary>The port that a micro-guest reports on, with one byte.</summary>
    internal const ushort Port = 0xF00;
    /// <summary>The port that an exception handler reports its vector on.</summary>
    internal const ushort ExceptionPort = 0xF0E;
    /// <summary>Vector of the interrupt line under test: 0x20 (where the PIC is told to begin) and the line's number.</summary>
    internal const int InterruptVector = 0x20 + InterruptLine;
    /// <summary>The interrupt line under test: one that nothing else uses.</summary>
    internal const int InterruptLine = 5;
    /// <summary>Bytes of one of the <see cref="ExceptionStubs"/>.</summary>
    internal const int ExceptionStubSize = 8;
    /// <summary>Vectors that belong to exceptions.</summary>
    internal const int ExceptionCount = 32;

    /// <summary>Ring 0 counts RCX down, for as long as it is let.</summary>
    internal static ReadOnlySpan<byte> Loop =>
    [
        0x48, 0xFF, 0xC9,                       // dec rcx
        0x75, 0xFB,                             // jne $-3
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xEE,                                   // out dx,al
    ];

    /// <summary>Ring 0 goes to ring 3 through the frame that the host has put on its stack.</summary>
    internal static ReadOnlySpan<byte> EnterRing3 =>
    [
        0x48, 0xCF,                             // iretq
    ];

    /// <summary>Ring 3: a system call, then an interrupt instruction, as 64-bit and 32-bit programs do.</summary>
    internal static ReadOnlySpan<byte> Ring3 =>
    [
        0x0F, 0x05,                             // syscall
        0xCD, 0x80,                             // int 80h
        0xEB, 0xFE,                             // jmp $
    ];

    /// <summary>The kernel's side of SYSCALL: reports 'S' and returns.</summary>
    internal static ReadOnlySpan<byte> SystemCallHandler =>
    [
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xB0, 0x53,                             // mov al,53h
        0xEE,                                   // out dx,al
        0x48, 0x0F, 0x07,                       // sysretq
    ];

    /// <summary>The kernel's side of INT 0x80: reports 'I' and returns.</summary>
    internal static ReadOnlySpan<byte> Int80Handler =>
    [
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xB0, 0x49,                             // mov al,49h
        0xEE,                                   // out dx,al
        0x48, 0xCF,                             // iretq
    ];

    /// <summary>
    /// Sets the PIC up as a PC does (vectors from 0x20, all lines but <see cref="InterruptLine"/> masked), reports 'R', sleeps
    /// until an interrupt has come and been handled, reports 'W'.
    /// </summary>
    internal static ReadOnlySpan<byte> AwaitInterrupt =>
    [
        0xB0, 0x11,                             // mov al,11h
        0xE6, 0x20,                             // out 20h,al
        0xB0, 0x20,                             // mov al,20h
        0xE6, 0x21,                             // out 21h,al
        0xB0, 0x04,                             // mov al,4
        0xE6, 0x21,                             // out 21h,al
        0xB0, 0x01,                             // mov al,1
        0xE6, 0x21,                             // out 21h,al
        0xB0, 0xDF,                             // mov al,0DFh
        0xE6, 0x21,                             // out 21h,al
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xB0, 0x52,                             // mov al,52h
        0xEE,                                   // out dx,al
        0xFB,                                   // sti
        0xF4,                                   // hlt
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xB0, 0x57,                             // mov al,57h
        0xEE,                                   // out dx,al
    ];

    /// <summary>Handles the interrupt: acknowledges it to the PIC, reports 'Q', returns.</summary>
    internal static ReadOnlySpan<byte> InterruptHandler =>
    [
        0xB0, 0x20,                             // mov al,20h
        0xE6, 0x20,                             // out 20h,al
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xB0, 0x51,                             // mov al,51h
        0xEE,                                   // out dx,al
        0x48, 0xCF,                             // iretq
    ];

    /// <summary>Stores to the address in RDI, where no memory is, then reports.</summary>
    internal static ReadOnlySpan<byte> StoreToDevice =>
    [
        0x89, 0x07,                             // mov [rdi],eax
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xEE,                                   // out dx,al
    ];

    /// <summary>CPUID of the leaf in EDI, subleaf in ECX.</summary>
    internal static ReadOnlySpan<byte> Cpuid =>
    [
        0x89, 0xF8,                             // mov eax,edi
        0x0F, 0xA2,                             // cpuid
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xEE,                                   // out dx,al
    ];

    /// <summary>INT3, which Linux uses to patch itself while it runs. Its handler is a bare IRETQ.</summary>
    internal static ReadOnlySpan<byte> Breakpoint =>
    [
        0xCC,                                   // int 3
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xEE,                                   // out dx,al
    ];

    /// <summary>SMAP's switch: in every copy from or to user memory.</summary>
    internal static ReadOnlySpan<byte> Clac =>
    [
        0x0F, 0x01, 0xCA,                       // clac
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xEE,                                   // out dx,al
    ];

    /// <summary>Counts bits: CPU masks, memory bitmaps.</summary>
    internal static ReadOnlySpan<byte> Popcnt =>
    [
        0xF3, 0x48, 0x0F, 0xB8, 0xDB,           // popcnt rbx,rbx
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xEE,                                   // out dx,al
    ];

    /// <summary>Saves and loads FPU and SSE registers, at RDI: every task switch.</summary>
    internal static ReadOnlySpan<byte> XsaveXrstor =>
    [
        0xB8, 0x03, 0x00, 0x00, 0x00,           // mov eax,3
        0x31, 0xD2,                             // xor edx,edx
        0x48, 0x0F, 0xAE, 0x27,                 // xsave64 [rdi]
        0x48, 0x0F, 0xAE, 0x2F,                 // xrstor64 [rdi]
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xEE,                                   // out dx,al
    ];

    /// <summary>Changes 16 bytes at RDI at once: the kernel's memory allocator.</summary>
    internal static ReadOnlySpan<byte> Cmpxchg16b =>
    [
        0xF0, 0x48, 0x0F, 0xC7, 0x0F,           // lock cmpxchg16b [rdi]
        0xBA, 0x00, 0x0F, 0x00, 0x00,           // mov edx,0F00h
        0xEE,                                   // out dx,al
    ];

    /// <summary>A handler that does nothing.</summary>
    internal static ReadOnlySpan<byte> ReturnHandler =>
    [
        0x48, 0xCF,                             // iretq
    ];

    /// <summary>One handler an exception vector, each of <see cref="ExceptionStubSize"/> bytes: reports its vector and stops.</summary>
    internal static byte[] ExceptionStubs()
    {
        ReadOnlySpan<byte> stub =
        [
            0xB0, 0x00,                         // mov al,0
            0xBA, 0x0E, 0x0F, 0x00, 0x00,       // mov edx,0F0Eh
            0xEE,                               // out dx,al
        ];
        byte[] stubs = new byte[ExceptionCount * ExceptionStubSize];
        for (int vector = 0; vector < ExceptionCount; vector++)
        {
            stub.CopyTo(stubs.AsSpan(vector * ExceptionStubSize));
            stubs[(vector * ExceptionStubSize) + 1] = (byte)vector; // the operand of mov al
        }

        return stubs;
    }
}
