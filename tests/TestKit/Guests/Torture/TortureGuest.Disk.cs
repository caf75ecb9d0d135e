using System.Buffers.Binary;
using CowMemory;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace TestKit.Guests.Torture;

public static partial class TortureGuest
{
    private const ulong VirtioWindow = 0xFEB0_0000, Descriptors = 0x5_0000, Available = 0x5_1000, Used = 0x5_2000;
    private const ulong Headers = 0x5_3000, Statuses = 0x5_3800, Sectors = 0x5_4000, SlotOfHead = 0x5_3C00;
    private const int Slots = 4, Chain = 3, QueueSize = 32, SectorBytes = 512;
    private const ulong SequenceFactor = 0x9E37_79B9_7F4A_7C15;
    private static readonly int[] s_compared = [0, 8, 248, 504];

    // Each slot has a chain for writing its sector and one for reading it back: header, data, status.
    private static void LoadDisk(GuestMemory memory)
    {
        const ushort Next = 1, DeviceWrites = 2;
        for (int chain = 0; chain < 2 * Slots; chain++)
        {
            (bool read, int slot) = (chain >= Slots, chain % Slots);
            int head = chain * Chain;
            Describe(head, Headers + ((ulong)chain * 16), 16, Next);
            Describe(head + 1, Sectors + ((ulong)slot * SectorBytes), SectorBytes, (ushort)(Next | (read ? DeviceWrites : 0)));
            Describe(head + 2, Statuses + (ulong)slot, 1, DeviceWrites);
            memory.Write(new Gpa(Headers + ((ulong)chain * 16)), 4)[0] = read ? (byte)0 : (byte)1; // VIRTIO_BLK_T_IN, _OUT
            memory.Write(new Gpa(SlotOfHead), QueueSize)[head] = (byte)slot;
        }

        void Describe(int index, ulong address, uint length, ushort flags)
        {
            Span<byte> d = memory.Write(new Gpa(Descriptors + ((ulong)index * 16)), 16);
            BinaryPrimitives.WriteUInt64LittleEndian(d, address);
            BinaryPrimitives.WriteUInt32LittleEndian(d[8..], length);
            BinaryPrimitives.WriteUInt16LittleEndian(d[12..], flags);
            BinaryPrimitives.WriteUInt16LittleEndian(d[14..], (ushort)(index + 1));
        }
    }

    /// <summary>A virtio-blk driver with four requests in flight: writes a sector, reads it back, compares, and again with the next number.</summary>
    private sealed class Disk(Assembler a, Func<TortureError, Label> fail)
    {
        private const int Idle = 0, Writing = 1, Written = 2, Reading = 3;

        internal void Prepare()
        {
            foreach ((uint register, uint value) in new (uint, uint)[]
            {
                (0x70, 0), (0x70, 1), (0x70, 3), // reset, acknowledge, driver
                (0x24, 1), (0x20, 1), (0x24, 0), (0x20, 0), // VIRTIO_F_VERSION_1 and nothing else
                (0x70, 0xB), // features settled
                (0x30, 0), (0x38, QueueSize),
                (0x80, (uint)Descriptors), (0x84, 0), (0x90, (uint)Available), (0x94, 0), (0xA0, (uint)Used), (0xA4, 0),
                (0x44, 1), (0x70, 0xF), // queue ready, driver ready
            })
            {
                a.mov(eax, (uint)VirtioWindow + register);
                a.mov(__dword_ptr[rax], value);
            }
        }

        /// <summary>Acknowledges, and leaves the rest to the loop: an interrupt that is lost leaves the disk standing still.</summary>
        internal void WriteHandler()
        {
            Label none = a.CreateLabel(), done = a.CreateLabel();
            a.push(rbx);
            a.mov(ebx, (uint)VirtioWindow);
            a.mov(eax, __dword_ptr[rbx + 0x60]);
            a.test(eax, eax);
            a.jz(none);
            a.mov(__dword_ptr[rbx + 0x64], eax);
            a.inc(Field(TortureField.DiskInterrupts));
            a.mov(Field(TortureField.DiskPending), 1);
            a.jmp(done);
            a.Label(ref none);
            a.inc(Field(TortureField.Spurious));
            a.Label(ref done);
            a.pop(rbx);
        }

        internal void Write()
        {
            Label submit = a.CreateLabel();
            a.cmp(Field(TortureField.DiskPending), 0);
            a.je(submit);
            a.mov(Field(TortureField.DiskPending), 0);
            TakeAnswers();
            a.Label(ref submit);
            for (int slot = 0; slot < Slots; slot++) Submit(slot);
        }

        private void Submit(int slot)
        {
            Label read = a.CreateLabel(), offer = a.CreateLabel(), done = a.CreateLabel();
            ulong sector = Sectors + ((ulong)slot * SectorBytes);
            a.mov(rax, SlotField(TortureField.SlotState, slot));
            a.cmp(eax, Written);
            a.je(read);
            a.cmp(eax, Idle);
            a.jne(done);

            Expected(slot);
            a.mov(rsi, sector);
            foreach (int at in s_compared) a.mov(__qword_ptr[rsi + at], rax);
            a.mov(SlotField(TortureField.SlotState, slot), Writing);
            a.mov(r8d, slot * Chain);
            a.jmp(offer);

            a.Label(ref read);
            a.mov(rsi, sector);
            foreach (int at in s_compared) a.mov(__qword_ptr[rsi + at], 0);
            a.mov(SlotField(TortureField.SlotState, slot), Reading);
            a.mov(r8d, (slot + Slots) * Chain);

            a.Label(ref offer);
            // Sector: eight of its own for each slot, in turn.
            a.mov(rax, SlotField(TortureField.SlotSequence, slot));
            a.and(eax, 7);
            a.add(eax, slot * 8);
            a.mov(rsi, Headers);
            a.mov(__qword_ptr[rsi + 8 + (slot * 16)], rax);
            a.mov(__qword_ptr[rsi + 8 + ((slot + Slots) * 16)], rax);
            a.mov(rsi, Statuses + (ulong)slot);
            a.mov(__byte_ptr[rsi], 0xFFu);
            a.mov(rax, Field(TortureField.AvailIndex));
            a.mov(ecx, eax);
            a.and(ecx, QueueSize - 1);
            a.mov(rsi, Available);
            a.mov(__word_ptr[rsi + (rcx * 2) + 4], r8w);
            a.inc(rax);
            a.mov(Field(TortureField.AvailIndex), rax);
            a.mov(__word_ptr[rsi + 2], ax);
            a.mov(eax, (uint)VirtioWindow + 0x50); // QueueNotify
            a.mov(__dword_ptr[rax], 0);
            a.Label(ref done);
        }

        private void TakeAnswers()
        {
            Label next = a.CreateLabel(), wrote = a.CreateLabel(), done = a.CreateLabel();
            a.Label(ref next);
            a.mov(rdi, Used);
            a.mov(rbx, Field(TortureField.UsedSeen));
            a.cmp(bx, __word_ptr[rdi + 2]);
            a.je(done);
            a.mov(ecx, ebx);
            a.and(ecx, QueueSize - 1);
            a.mov(eax, __dword_ptr[rdi + (rcx * 8) + 4]);
            a.inc(Field(TortureField.UsedSeen));
            a.cmp(eax, 2 * Slots * Chain);
            a.jae(fail(TortureError.DiskAnswer));
            a.mov(ecx, eax);
            a.mov(rsi, SlotOfHead);
            a.movzx(edi, __byte_ptr[rsi + rcx]); // the slot
            a.mov(rsi, Statuses);
            a.cmp(__byte_ptr[rsi + rdi], 0);
            a.jne(fail(TortureError.DiskStatus));
            a.mov(rdx, __qword_ptr[rbp + (rdi * 8) + (uint)TortureField.SlotState]);
            a.cmp(eax, Slots * Chain);
            a.jb(wrote);

            a.cmp(edx, Reading);
            a.jne(fail(TortureError.DiskAnswer));
            a.mov(rax, __qword_ptr[rbp + (rdi * 8) + (uint)TortureField.SlotSequence]);
            Pattern();
            a.mov(rsi, Sectors);
            a.mov(rcx, rdi);
            a.shl(rcx, 9);
            a.add(rsi, rcx);
            foreach (int at in s_compared)
            {
                a.cmp(__qword_ptr[rsi + at], rax);
                a.jne(fail(TortureError.DiskData));
            }

            a.inc(__qword_ptr[rbp + (rdi * 8) + (uint)TortureField.SlotSequence]);
            a.mov(__qword_ptr[rbp + (rdi * 8) + (uint)TortureField.SlotState], Idle);
            a.inc(Field(TortureField.DiskDone));
            a.jmp(next);

            a.Label(ref wrote);
            a.cmp(edx, Writing);
            a.jne(fail(TortureError.DiskAnswer));
            a.mov(__qword_ptr[rbp + (rdi * 8) + (uint)TortureField.SlotState], Written);
            a.jmp(next);
            a.Label(ref done);
            a.nop(); // two labels cannot be at one instruction
        }

        // RAX: what sequence number RAX of slot RDI looks like.
        private void Pattern()
        {
            a.add(rax, 1);
            a.mov(rcx, rdi);
            a.shl(rcx, 48);
            a.xor(rax, rcx);
            a.mov(rcx, SequenceFactor);
            a.imul(rax, rcx);
        }

        private void Expected(int slot)
        {
            a.mov(rax, SlotField(TortureField.SlotSequence, slot));
            a.mov(edi, slot);
            Pattern();
        }

        private static AssemblerMemoryOperand SlotField(TortureField field, int slot) => Field(field, (uint)slot * 8);
    }
}
