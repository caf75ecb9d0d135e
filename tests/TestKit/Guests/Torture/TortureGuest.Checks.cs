using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace TestKit.Guests.Torture;

public static partial class TortureGuest
{
    /// <summary>The part that puts patterns into registers and checks them.</summary>
    private sealed class Checks(Assembler a, int cpu, TortureProfile profile)
    {
        private const ushort PicMask1 = 0x21, PicMask2 = 0xA1, CmosIndex = 0x70, CmosData = 0x71, CmosCell = 0x40;
        private const uint KvmClock = 0x4B56_4D01, TscAux = 0xC000_0103;

        // All but RSP and RBP, which every check of memory through them checks.
        private static readonly AssemblerRegister64[] s_registers =
            [rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];

        private readonly bool _fpu = profile.HasFlag(TortureProfile.Fpu), _avx = profile.HasFlag(TortureProfile.Avx);
        private readonly List<(TortureError Error, Label Label)> _failures = [];

        private ulong Clock => Clocks + ((ulong)cpu * 0x40);

        /// <summary>MSRs that mean nothing to a guest which stays in ring 0 and executes no SYSCALL, with values of their own.</summary>
        private IEnumerable<(uint Index, ulong Value)> Msrs()
        {
            ulong own = 0x0000_7A00_0000_0000UL | ((ulong)cpu << 32);
            yield return (0x174, 0x10); // SYSENTER_CS
            yield return (0x175, 0x0175_0000UL + (uint)cpu);
            yield return (0x176, 0x0176_0000UL + (uint)cpu);
            yield return (0x277, 0x0007_0406_0007_0406); // PAT
            yield return (0x200, 0x8000_0000 | 6); // a variable MTRR: base and type, mask and valid
            yield return (0x201, 0x00F_C000_0800);
            yield return (0x268, 0x0606_0606_0505_0606); // a fixed-range MTRR
            yield return (0x2FF, 0xC06); // MTRRs on, write-back by default
            yield return (0xC000_0081, 0x0023_0010_0000_0000); // STAR
            yield return (0xC000_0082, own | 0x82_0000);
            yield return (0xC000_0083, own | 0x83_0000);
            yield return (0xC000_0084, 0x0004_7700);
            yield return (0xC000_0100, own | 0x100_0000); // FS and GS base
            yield return (0xC000_0101, own | 0x101_0000);
            yield return (0xC000_0102, own | 0x102_0000);
            yield return (KvmClock, Clock | 1);
            if (_fpu) yield return (TscAux, 0x7700UL + (uint)cpu);
        }

        internal Label Fail(TortureError error)
        {
            Label label = a.CreateLabel();
            _failures.Add((error, label));
            return label;
        }

        /// <summary>Gives everything its pattern.</summary>
        internal void Prepare()
        {
            foreach ((uint index, ulong value) in Msrs())
            {
                a.mov(ecx, index);
                a.mov(eax, (uint)value);
                a.mov(edx, (uint)(value >> 32));
                a.wrmsr();
            }

            a.mov(rax, Cr2Pattern + (uint)cpu);
            a.mov(cr2, rax);
            a.mov(eax, 1 + cpu); // TPR: below all vectors in use
            a.mov(cr8, rax);
            foreach ((AssemblerRegisterDR register, uint value) in DebugRegisters())
            {
                a.mov(eax, value);
                a.mov(register, rax);
            }

            a.mov(rsi, PatternOf(cpu));
            for (int i = 0; i < 16; i++) a.movdqu(Xmm(i), __xmmword_ptr[rsi + (i * 16)]);
            if (_avx)
            {
                a.mov(rax, cr4);
                a.or(eax, 1 << 18); // OSXSAVE
                a.mov(cr4, rax);
                a.xor(ecx, ecx);
                a.xor(edx, edx);
                a.mov(eax, 7); // x87, SSE, AVX
                a.xsetbv();
                for (int i = 0; i < 16; i++) a.vmovdqu(Ymm(i), __ymmword_ptr[rsi + (i * 32)]);
            }

            if (_fpu)
            {
                a.fninit();
                a.fldpi();
                a.fldl2e();
                a.fld1();
            }

            if (cpu == 0)
            {
                foreach (ushort port in new[] { PicMask1, PicMask2 })
                {
                    a.mov(al, 0xFF);
                    a.@out((byte)port, al);
                }
            }
            else
            {
                SelectCmos();
                a.mov(al, 0xA5);
                a.@out((byte)CmosData, al);
            }
        }

        /// <summary>
        /// Adds to fourteen registers and to their copies in memory, then compares: a register that changes at any of these
        /// instructions differs for ever.
        /// </summary>
        internal void WriteRegisters()
        {
            Label fail = Fail(TortureError.Register);
            for (int i = 0; i < s_registers.Length; i++) a.mov(s_registers[i], Field(TortureField.Registers, (uint)i * 8));
            for (int round = 0; round < 3; round++)
            {
                for (int i = 0; i < s_registers.Length; i++)
                {
                    int step = 0x0123_4567 + (i * 0x0101_0101);
                    a.add(s_registers[i], step);
                    a.add(Field(TortureField.Registers, (uint)i * 8), step);
                }
            }

            for (int i = 0; i < s_registers.Length; i++)
            {
                a.cmp(s_registers[i], Field(TortureField.Registers, (uint)i * 8));
                a.jne(fail);
            }
        }

        /// <summary>Checks everything else.</summary>
        internal void WriteState()
        {
            Flags();
            Expect(TortureError.ControlRegister, () => a.mov(rax, cr2), Cr2Pattern + (uint)cpu);
            Expect(TortureError.ControlRegister, () => a.mov(rax, cr3), GuestMap.PageTables.Value);
            Expect(TortureError.ControlRegister, () => a.mov(rax, cr8), 1 + (uint)cpu);
            foreach ((AssemblerRegisterDR register, uint value) in DebugRegisters())
                Expect(TortureError.DebugRegister, () => a.mov(rax, register), value);
            foreach ((uint index, ulong value) in Msrs())
            {
                Expect(TortureError.Msr, () =>
                {
                    a.mov(ecx, index);
                    a.rdmsr();
                    a.shl(rdx, 32);
                    a.or(rax, rdx);
                }, value);
            }

            Tables();
            Vectors();
            if (cpu == 0) ExpectByte(TortureError.Pic, () => a.@in(al, (byte)PicMask1), 0xFF);
            if (cpu == 0) ExpectByte(TortureError.Pic, () => a.@in(al, (byte)PicMask2), 0xFF);
            if (cpu == 1) ExpectByte(TortureError.Cmos, () => { SelectCmos(); a.@in(al, (byte)CmosData); }, 0xA5);
            Time();
        }

        /// <summary>Where the failures of all checks of this vCPU end.</summary>
        internal void WriteFailures()
        {
            Label stop = a.CreateLabel();
            foreach ((TortureError error, Label label) in _failures)
            {
                Label here = label;
                a.Label(ref here);
                a.mov(Field(TortureField.Got), rax);
                a.mov(Field(TortureField.Error), (int)error);
                a.jmp(stop);
            }

            a.Label(ref stop);
            a.cli();
            a.hlt();
            a.jmp(stop);
        }

        private IEnumerable<(AssemblerRegisterDR Register, uint Value)> DebugRegisters()
        {
            AssemblerRegisterDR[] addresses = [dr0, dr1, dr2, dr3];
            for (int i = 0; i < addresses.Length; i++) yield return (addresses[i], 0x0011_0000u + ((uint)i * 0x1100) + (uint)cpu);
            yield return (dr6, 0xFFFF_0FF0 | (1u << cpu));
            yield return (dr7, 0x0000_0400); // no breakpoint on
        }

        private void Expect(TortureError error, Action load, ulong value)
        {
            load();
            a.mov(rbx, value);
            a.cmp(rax, rbx);
            a.jne(Fail(error));
        }

        private void ExpectByte(TortureError error, Action load, byte value)
        {
            load();
            a.cmp(al, value);
            a.jne(Fail(error));
        }

        private void Flags()
        {
            a.pushfq();
            a.pop(rax);
            a.and(eax, FlagsKept);
            a.cmp(eax, FlagsPattern);
            a.jne(Fail(TortureError.Flags));
        }

        private void Tables()
        {
            AssemblerMemoryOperand limit = __word_ptr[rbp + (uint)TortureField.Scratch];
            foreach ((bool gdt, ulong at, ushort length) in new[] { (true, GdtOf(cpu), TableLimit), (false, IdtOf(cpu), IdtLimit) })
            {
                if (gdt) a.sgdt(__[rbp + (uint)TortureField.Scratch]);
                else a.sidt(__[rbp + (uint)TortureField.Scratch]);
                Expect(TortureError.DescriptorTable, () => a.mov(rax, __qword_ptr[rbp + (uint)TortureField.Scratch + 2]), at);
                Expect(TortureError.DescriptorTable, () => a.movzx(eax, limit), length);
            }

            Expect(TortureError.DescriptorTable, () => a.str(eax), TssSelector);
            Expect(TortureError.DescriptorTable, () => a.sldt(eax), LdtSelector);
            foreach (AssemblerRegisterSegment segment in new[] { ds, es, fs, gs, ss })
                Expect(TortureError.Segment, () => a.mov(eax, segment), DataSelector);
            Expect(TortureError.Segment, () => a.mov(eax, cs), CodeSelector);
        }

        private void Vectors()
        {
            int width = _avx ? 32 : 16;
            for (int i = 0; i < 16; i++)
            {
                if (_avx) a.vmovdqu(__ymmword_ptr[rbp + (uint)TortureField.Scratch + (i * width)], Ymm(i));
                else a.movdqu(__xmmword_ptr[rbp + (uint)TortureField.Scratch + (i * width)], Xmm(i));
            }

            Label next = a.CreateLabel();
            a.mov(rsi, PatternOf(cpu));
            a.xor(ecx, ecx);
            a.Label(ref next);
            a.mov(rax, __qword_ptr[rsi + rcx]);
            a.cmp(rax, __qword_ptr[rbp + rcx + (uint)TortureField.Scratch]);
            a.jne(Fail(TortureError.Vector));
            a.add(ecx, 8);
            a.cmp(ecx, 16 * width);
            a.jb(next);
            if (!_fpu) return;

            a.fxsave64(__[rbp + (uint)TortureField.Scratch]);
            Expect(TortureError.Vector, () => a.movzx(eax, __word_ptr[rbp + (uint)TortureField.Scratch]), 0x037F);
            foreach ((int slot, ulong mantissa) in new[] { (0, 0x8000_0000_0000_0000), (1, 0xB8AA_3B29_5C17_F0BC), (2, 0xC90F_DAA2_2168_C235) })
                Expect(TortureError.Vector, () => a.mov(rax, __qword_ptr[rbp + (uint)TortureField.Scratch + 32 + (slot * 16)]), mantissa);
            Expect(TortureError.Msr, () => { a.rdtscp(); a.mov(eax, ecx); }, 0x7700u + (uint)cpu);
        }

        private void Time()
        {
            ReadTsc(a);
            a.cmp(rax, Field(TortureField.Tsc));
            a.jb(Fail(TortureError.Tsc));
            a.mov(Field(TortureField.Tsc), rax);

            // KVM's pvclock structure (Documentation/virt/kvm/x86/msr.rst): ((tsc - stamp) << shift) * multiplier >> 32, plus its time.
            Label again = a.CreateLabel(), right = a.CreateLabel(), scaled = a.CreateLabel();
            a.mov(rsi, Clock);
            a.Label(ref again);
            a.mov(ebx, __dword_ptr[rsi]);
            a.test(ebx, 1);
            a.jnz(again);
            ReadTsc(a);
            a.sub(rax, __qword_ptr[rsi + 8]);
            a.movsx(ecx, __byte_ptr[rsi + 28]);
            a.test(ecx, ecx);
            a.js(right);
            a.shl(rax, cl);
            a.jmp(scaled);
            a.Label(ref right);
            a.neg(ecx);
            a.shr(rax, cl);
            a.Label(ref scaled);
            a.mov(edx, __dword_ptr[rsi + 24]);
            a.mul(rdx);
            a.shrd(rax, rdx, 32);
            a.add(rax, __qword_ptr[rsi + 16]);
            a.cmp(ebx, __dword_ptr[rsi]);
            a.jne(again);
            a.cmp(rax, Field(TortureField.Clock));
            a.jb(Fail(TortureError.Clock));
            a.mov(Field(TortureField.Clock), rax);
        }

        private void SelectCmos()
        {
            a.mov(al, (sbyte)CmosCell);
            a.@out((byte)CmosIndex, al);
        }

        private static AssemblerRegisterXMM Xmm(int i) => new AssemblerRegisterXMM[]
            { xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15 }[i];

        private static AssemblerRegisterYMM Ymm(int i) => new AssemblerRegisterYMM[]
            { ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14, ymm15 }[i];
    }

    private static void ReadTsc(Assembler a)
    {
        a.rdtsc();
        a.shl(rdx, 32);
        a.or(rax, rdx);
    }
}
