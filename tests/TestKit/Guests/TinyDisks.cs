using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace TestKit.Guests;

/// <summary>
/// The virtio-blk driver of <see cref="TinyOs"/> (virtio 1.2 §4.2, §5.2): a queue of one request for each of two disks, polled, with
/// interrupts off.
/// </summary>
/// <param name="a">Where its code goes.</param>
internal sealed class TinyDisks(Assembler a)
{
    /// <summary>Request types.</summary>
    public const int Read = 0, Write = 1, Flush = 4;

    /// <summary>The first register of a virtio-mmio window.</summary>
    public const int Magic = 0x74726976;

    /// <summary>Offset of the size in sectors in a window, low half.</summary>
    public const int Capacity = 0x100;

    private const ulong FirstWindow = 0xFEB0_0000, FirstQueue = 0x19_0000;
    private const int WindowBytes = 0x200, QueueBytes = 0x1000;
    private const int QueueSize = 8;
    private const byte Acknowledge = 1, Driver = 2, DriverOk = 4, FeaturesOk = 8;
    private const int FlushFeature = 1 << 9, Version1HighWord = 1;
    private const int NextFlag = 1, WriteFlag = 2;

    // In a queue's page.
    private const int Available = 0x100, Used = 0x200, Header = 0x300, Status = 0x310, Buffer = 0x400;

    /// <summary>Where a disk's registers are.</summary>
    public static ulong Window(int disk) => FirstWindow + (ulong)(disk * WindowBytes);

    /// <summary>The 512 bytes that are read and written.</summary>
    public static ulong Data(int disk) => Queue(disk) + Buffer;

    /// <summary>Sets up the disks there are. Uses rax, rdi and rsi.</summary>
    public void Start()
    {
        for (int disk = 0; disk < 2; disk++)
        {
            Label none = a.CreateLabel();
            a.mov(rsi, Window(disk));
            a.cmp(__dword_ptr[rsi], Magic);
            a.jne(none);
            Set(0x070, 0);
            Set(0x070, Acknowledge | Driver);
            Set(0x014, 0);
            a.mov(eax, __dword_ptr[rsi + 0x010]);
            a.and(eax, FlushFeature);
            Set(0x024, 0);
            a.mov(__dword_ptr[rsi + 0x020], eax);
            Set(0x024, 1);
            Set(0x020, Version1HighWord);
            Set(0x070, Acknowledge | Driver | FeaturesOk);
            Set(0x030, 0);
            Set(0x038, QueueSize);
            foreach ((int register, int offset) in new[] { (0x080, 0), (0x090, Available), (0x0A0, Used) })
            {
                Set(register, (int)Queue(disk) + offset);
                Set(register + 4, 0);
            }

            Set(0x044, 1);
            Set(0x070, Acknowledge | Driver | FeaturesOk | DriverOk);
            a.Label(ref none);
        }
    }

    /// <summary>Makes a request and waits for its end. Uses rax, rbx, rdi and rsi.</summary>
    /// <param name="disk">Which.</param>
    /// <param name="type">What.</param>
    /// <param name="sectorIntoRbx">Where.</param>
    /// <param name="failed">Where to go when its status is not 0.</param>
    public void Request(int disk, int type, Action sectorIntoRbx, Label failed)
    {
        int queue = (int)Queue(disk);
        a.mov(rsi, Window(disk));
        a.mov(rdi, Queue(disk));
        sectorIntoRbx();
        a.mov(__dword_ptr[rdi + Header], type);
        a.mov(__dword_ptr[rdi + Header + 4], 0);
        a.mov(__qword_ptr[rdi + Header + 8], rbx);
        a.mov(__byte_ptr[rdi + Status], 0xFF);
        int last = type == Flush ? 1 : 2;
        Descriptor(0, queue + Header, 16, NextFlag);
        if (type != Flush) Descriptor(1, queue + Buffer, 512, NextFlag | (type == Read ? WriteFlag : 0));
        Descriptor(last, queue + Status, 1, WriteFlag);

        a.movzx(eax, __word_ptr[rdi + Available + 2]);
        a.mov(ebx, eax);
        a.and(ebx, QueueSize - 1);
        a.mov(__word_ptr[rdi + (rbx * 2) + Available + 4], 0);
        a.inc(eax);
        a.mov(__word_ptr[rdi + Available + 2], ax);
        a.mov(__dword_ptr[rsi + 0x050], 0);
        Label wait = a.CreateLabel();
        a.Label(ref wait);
        a.cmp(__word_ptr[rdi + Used + 2], ax);
        a.jne(wait);
        a.cmp(__byte_ptr[rdi + Status], 0);
        a.jne(failed);
    }

    private static ulong Queue(int disk) => FirstQueue + (ulong)(disk * QueueBytes);

    private void Set(int register, int value) => a.mov(__dword_ptr[rsi + register], value);

    private void Descriptor(int index, int address, int length, int flags)
    {
        int at = index * 16;
        a.mov(__dword_ptr[rdi + at], address);
        a.mov(__dword_ptr[rdi + at + 4], 0);
        a.mov(__dword_ptr[rdi + at + 8], length);
        a.mov(__word_ptr[rdi + at + 12], (short)flags);
        a.mov(__word_ptr[rdi + at + 14], (short)(index + 1));
    }
}
