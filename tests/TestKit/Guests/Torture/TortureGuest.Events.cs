using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace TestKit.Guests.Torture;

public static partial class TortureGuest
{
    private const uint LocalApic = 0xFEE0_0000, IoApic = 0xFEC0_0000, AcpiEvents = 0xFEA0_0000;

    /// <summary>The part that keeps interrupts coming, one of each kind at a time, and counts them.</summary>
    private sealed class Events(Assembler a, int cpu, Func<TortureError, Label> fail)
    {
        private const byte TimerVector = 0x31, IpiVector = 0x51, PitVector = 0x61, SerialVector = 0x71, PowerVector = 0x81, DiskVector = 0x91;
        private const byte Nmi = 2, Exceptions = 32;
        private const uint Spurious = 0xFF, Eoi = 0xB0, SpuriousRegister = 0xF0, CommandLow = 0x300, CommandHigh = 0x310;
        private const uint TimerEntry = 0x320, InitialCount = 0x380, Divider = 0x3E0, DeadlineMode = 1 << 18, TscDeadline = 0x6E0;
        private const uint DeliverNmi = 4 << 8;
        private const ushort Com1 = 0x3F8;
        private const int HaltEvery = 16;

        private readonly List<(int Vector, Label Handler)> _handlers = [];

        // The two timer modes that expire once; the 8254 is the periodic one.
        private bool ByDeadline => cpu == 0;

        /// <summary>IOAPIC pins in use, with their vectors: 8254, console, power button, first disk.</summary>
        private static readonly (uint Pin, byte Vector)[] s_lines = [(0, PitVector), (4, SerialVector), (9, PowerVector), (16, DiskVector)];

        /// <summary>The handlers; RBP is the block wherever they interrupt.</summary>
        internal void WriteHandlers(Disk disk)
        {
            for (int vector = 0; vector < Exceptions; vector++) if (vector != Nmi) WriteException(vector);
            Handler(Nmi, () => a.inc(Field(TortureField.NmiGot)), acknowledge: false);
            Handler(TimerVector, () => a.inc(Field(TortureField.TimerFired)));
            Handler(IpiVector, () => a.inc(Field(TortureField.IpiGot)));
            if (cpu != 0) return;
            Handler(PitVector, () => a.inc(Field(TortureField.PitTicks)));
            Handler(SerialVector, WriteSerialHandler);
            Handler(PowerVector, WritePowerHandler);
            Handler(DiskVector, disk.WriteHandler);
        }

        /// <summary>Fills the vCPU's interrupt descriptor table.</summary>
        internal void Install()
        {
            foreach ((int vector, Label handler) in _handlers) InterruptGate.Write(a, IdtOf(cpu), vector, CodeSelector, handler);
        }

        /// <summary>Local APIC, IOAPIC, 8254 and serial port.</summary>
        internal void Prepare()
        {
            Store(LocalApic + SpuriousRegister, 0x100 | Spurious);
            Store(LocalApic + Divider, 0xB); // by 1
            Store(LocalApic + TimerEntry, TimerVector | (ByDeadline ? DeadlineMode : 0));
            if (cpu != 0) return;
            foreach ((uint pin, byte vector) in s_lines)
            {
                Store(IoApic, 0x11 + (2 * pin));
                Store(IoApic + 0x10, 0); // to vCPU 0
                Store(IoApic, 0x10 + (2 * pin));
                Store(IoApic + 0x10, vector); // fixed, physical, edge, not masked
            }

            Out(0x43, 0x34); // 8254: counter 0, low and high byte, mode 2
            // 9545: about 8 ms. An emulated processor on a busy host takes nearly 1 ms to handle one, and is to do more than that.
            Out(0x40, 0x49);
            Out(0x40, 0x25);
            OutSerial(3, 0x03); // 8 bits
            OutSerial(2, 0x07); // FIFOs on and empty
            OutSerial(4, 0x0B); // OUT2: the interrupt's gate
            OutSerial(1, 0x03); // received, transmitter empty: which it is, so the first such interrupt answers nothing
        }

        /// <summary>Sends the next of each kind whose last has come.</summary>
        internal void Write()
        {
            Expect(TortureError.LocalApic, LocalApic + SpuriousRegister, 0x100 | Spurious);
            Expect(TortureError.LocalApic, LocalApic + Divider, 0xB);
            Once(TortureField.TimerArmed, TortureField.TimerFired, TortureError.TimerTwice, ArmTimer);
            Once(TortureField.NmiSent, TortureField.NmiGot, TortureError.NmiTwice, () => Send(cpu, DeliverNmi));
            SendToOther();
            Sleep();
            if (cpu != 0) return;
            foreach ((uint pin, byte vector) in s_lines)
            {
                Store(IoApic, 0x10 + (2 * pin));
                Expect(TortureError.IoApic, IoApic + 0x10, vector);
            }

            Label skip = a.CreateLabel();
            // One transmitter-empty interrupt more than bytes: that of switching it on.
            a.mov(rax, Field(TortureField.TxGot));
            a.sub(rax, Field(TortureField.TxSent));
            a.cmp(rax, 1);
            a.ja(fail(TortureError.TransmittedTwice));
            a.jb(skip);
            a.mov(eax, Field32(TortureField.TxSent));
            a.inc(Field(TortureField.TxSent));
            a.mov(dx, Com1);
            a.@out(dx, al);
            a.Label(ref skip);
        }

        private static AssemblerMemoryOperand Field32(TortureField field) => __dword_ptr[rbp + (uint)field];

        private void Handler(int vector, Action body, bool acknowledge = true)
        {
            Begin(vector);
            a.push(rax);
            body();
            if (acknowledge)
            {
                a.mov(eax, LocalApic + Eoi);
                a.mov(__dword_ptr[rax], 0);
            }

            a.pop(rax);
            a.iretq();
        }

        private void WriteException(int vector)
        {
            Begin(vector);
            bool errorCode = vector is 8 or (>= 10 and <= 14) or 17 or 21;
            a.mov(rax, __qword_ptr[rsp + (errorCode ? 8 : 0)]); // RIP
            a.mov(Field(TortureField.Got), rax);
            a.mov(Field(TortureField.Error), (int)TortureError.Exception + vector);
            Label stop = a.CreateLabel();
            a.Label(ref stop);
            a.hlt();
            a.jmp(stop);
        }

        private void Begin(int vector)
        {
            Label handler = a.CreateLabel();
            a.Label(ref handler);
            _handlers.Add((vector, handler));
        }

        /// <summary>Until the port says that nothing is pending. A received byte has to be the next in its sequence.</summary>
        private void WriteSerialHandler()
        {
            Label again = a.CreateLabel(), sent = a.CreateLabel(), done = a.CreateLabel(), spurious = a.CreateLabel();
            a.push(rdx);
            In(2);
            a.test(al, 1);
            a.jnz(spurious);
            a.Label(ref again);
            a.and(al, 0x0E);
            a.cmp(al, 2);
            a.je(sent);
            In(0);
            a.cmp(al, __byte_ptr[rbp + (uint)TortureField.RxGot]);
            a.jne(fail(TortureError.Received));
            a.inc(Field(TortureField.RxGot));
            Label next = a.CreateLabel();
            a.jmp(next);
            a.Label(ref sent);
            a.inc(Field(TortureField.TxGot));
            a.Label(ref next);
            In(2);
            a.test(al, 1);
            a.jz(again);
            a.jmp(done);
            a.Label(ref spurious);
            a.inc(Field(TortureField.Spurious));
            a.Label(ref done);
            a.pop(rdx);
        }

        private void WritePowerHandler()
        {
            Label none = a.CreateLabel(), done = a.CreateLabel();
            a.mov(eax, AcpiEvents);
            a.mov(eax, __dword_ptr[rax]);
            a.test(eax, 2);
            a.jz(none);
            a.inc(Field(TortureField.PowerGot));
            a.jmp(done);
            a.Label(ref none);
            a.inc(Field(TortureField.Spurious));
            a.Label(ref done);
        }

        private void Once(TortureField sent, TortureField got, TortureError twice, Action send)
        {
            Label wait = a.CreateLabel();
            a.mov(rax, Field(got));
            a.cmp(rax, Field(sent));
            a.ja(fail(twice));
            a.jb(wait);
            a.inc(Field(sent));
            send();
            a.Label(ref wait);
        }

        private void SendToOther()
        {
            Label wait = a.CreateLabel();
            ulong other = Block(1 - cpu).Value;
            a.mov(rsi, other);
            // Both vCPUs check the one they get: it must never be ahead of what the other has sent.
            a.mov(rax, Field(TortureField.IpiGot));
            a.cmp(rax, __qword_ptr[rsi + (uint)TortureField.IpiSent]);
            a.ja(fail(TortureError.IpiTwice));
            // Sent before the other's local APIC is switched on, it would be lost for ever, and rightly.
            a.cmp(__qword_ptr[rsi + (uint)TortureField.Rounds], 0);
            a.je(wait);
            a.mov(rax, __qword_ptr[rsi + (uint)TortureField.IpiGot]);
            a.cmp(rax, Field(TortureField.IpiSent));
            a.jne(wait);
            a.inc(Field(TortureField.IpiSent));
            Send(1 - cpu, IpiVector);
            a.Label(ref wait);
        }

        private void Send(int target, uint command)
        {
            Store(LocalApic + CommandHigh, (uint)target << 24);
            Store(LocalApic + CommandLow, command);
        }

        private void ArmTimer()
        {
            if (!ByDeadline)
            {
                Store(LocalApic + InitialCount, 200_000); // KVM's bus runs at 1 GHz: 0.2 ms
                return;
            }

            ReadTsc(a);
            a.add(rax, 400_000);
            a.mov(rdx, rax);
            a.shr(rdx, 32);
            a.mov(ecx, TscDeadline);
            a.wrmsr();
        }

        /// <summary>Now and then: HLT until the timer, entered through the shadow of STI so that nothing can come in between.</summary>
        private void Sleep()
        {
            Label skip = a.CreateLabel(), again = a.CreateLabel(), awake = a.CreateLabel();
            a.mov(eax, Field32(TortureField.Rounds));
            a.test(eax, HaltEvery - 1);
            a.jnz(skip);
            a.inc(Field(TortureField.Halts));
            a.Label(ref again);
            a.cli();
            a.mov(rax, Field(TortureField.TimerFired));
            a.cmp(rax, Field(TortureField.TimerArmed));
            a.jae(awake);
            a.sti();
            a.hlt();
            a.jmp(again);
            a.Label(ref awake);
            a.sti();
            a.Label(ref skip);
        }

        private void Expect(TortureError error, uint address, uint value)
        {
            a.mov(eax, address);
            a.mov(eax, __dword_ptr[rax]);
            a.cmp(eax, value);
            a.jne(fail(error));
        }

        private void Store(uint address, uint value)
        {
            a.mov(eax, address);
            a.mov(__dword_ptr[rax], value);
        }

        private void In(ushort register)
        {
            a.mov(edx, (uint)(Com1 + register));
            a.@in(al, dx);
        }

        private void Out(byte port, byte value)
        {
            a.mov(al, value);
            a.@out(port, al);
        }

        private void OutSerial(ushort register, byte value)
        {
            a.mov(edx, (uint)(Com1 + register));
            a.mov(al, value);
            a.@out(dx, al);
        }
    }
}
