using System.Buffers.Binary;
using System.Text;
using CowMemory;
using Vmm.Buses;
using Vmm.Devices;
using Xunit;

namespace Vmm.Tests.Devices;

public sealed class FwCfgTests : IDisposable
{
    private const uint Read = 2, Skip = 4, Select = 8, Write = 16;

    private readonly TestMemory _memory = new(1 << 20);
    private readonly FwCfg _device;

    public FwCfgTests() => _device = New();

    private IPortDevice Port => _device;

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void Firmware_finds_it_by_its_signature_and_learns_that_it_transfers()
    {
        Choose(0);
        Assert.Equal("QEMU", Encoding.ASCII.GetString(Bytes(4)));
        Choose(1);
        Assert.Equal([3, 0, 0, 0], Bytes(4));
    }

    [Fact]
    public void Files_are_found_in_the_directory_by_name()
    {
        Assert.Equal(["a/first", "b/second"], Directory().Keys);
        Choose(Directory()["b/second"].Key);
        Assert.Equal("second", Encoding.ASCII.GetString(Bytes(6)));
    }

    [Fact]
    public void Behind_the_end_and_where_no_item_is_there_are_zeros()
    {
        Choose(Directory()["a/first"].Key);
        Assert.Equal([1, 2, 3, 0, 0], Bytes(5));
        Choose(0x7777);
        Assert.Equal([0, 0], Bytes(2));
    }

    [Fact]
    public void A_transfer_selects_skips_and_reads_and_says_that_it_is_done()
    {
        uint key = Directory()["b/second"].Key;
        Assert.Equal(0u, Transfer((key << 16) | Select | Read, 0x2000, 3));
        Assert.Equal("sec", Encoding.ASCII.GetString(_memory.Guest.Read(new Gpa(0x2000), 3)));
        Assert.Equal(0u, Transfer(Skip, 0, 1));
        Assert.Equal(0u, Transfer(Read, 0x2000, 4));
        Assert.Equal("nd\0\0", Encoding.ASCII.GetString(_memory.Guest.Read(new Gpa(0x2000), 4)));
    }

    [Theory]
    [InlineData(Write, 0x2000, 4)] // nothing can be written
    [InlineData(Read, 0xF_FFFE, 4)] // ends outside memory
    [InlineData(Read, 0x10_0000, 1)]
    [InlineData(Read, 0x2000, uint.MaxValue)]
    public void A_transfer_that_cannot_be_is_an_error_and_touches_nothing(uint control, uint address, uint length)
    {
        byte[] before = _memory.Guest.Read(new Gpa(0x2000), 0x1000).ToArray();
        Assert.Equal(1u, Transfer((0x20u << 16) | Select | control, address, length));
        Assert.Equal(before, _memory.Guest.Read(new Gpa(0x2000), 0x1000).ToArray());
    }

    [Fact]
    public void A_transfer_described_outside_memory_is_ignored()
    {
        Port.Write(8, [0xFF, 0xFF, 0xFF, 0xF0]);
        Choose(0);
        Assert.Equal((byte)'Q', Bytes(1)[0]);
    }

    [Fact]
    public void A_transfer_while_memory_is_being_copied_is_in_the_copy()
    {
        const int start = 1 << 20, length = 15 << 20, size = 16 << 20;
        using TestMemory memory = new(size);
        FwCfg device = new(memory.Guest, [(0x05, [.. Enumerable.Repeat((byte)7, length)])], []);
        DirtyPages written = new(size), taken = new(size);
        memory.Guest.HostWrites = written;
        byte[] copy = new byte[size];
        void CopyWritten()
        {
            taken.TakeFrom(written);
            for (int page = 0; page < size / 4096; page++)
                if ((taken.Words[page / 64] >> (page % 64) & 1) != 0) memory.Guest.Read(new Gpa((ulong)page * 4096), 4096).CopyTo(copy.AsSpan(page * 4096));
            taken.Words.Clear();
        }

        for (int round = 0; round < 8; round++)
        {
            bool over = false;
            using ManualResetEventSlim begun = new();
            Thread copying = new(() =>
            {
                begun.Set();
                while (!Volatile.Read(ref over)) CopyWritten();
            });
            copying.Start();
            begun.Wait(TestContext.Current.CancellationToken);
            uint key = round % 2 == 0 ? 0x05u : 0x7777; // its content, and nothing
            Transfer(device, memory.Guest, (key << 16) | Select | Read, start, length);
            Volatile.Write(ref over, true);
            copying.Join();
            CopyWritten();
            Assert.True(memory.Guest.Read(new Gpa(0), size).SequenceEqual(copy), $"Something is missing in round {round}");
        }
    }

    [Fact]
    public void Another_machine_reads_on_where_this_one_stopped()
    {
        Choose(Directory()["b/second"].Key);
        Bytes(2);
        Port.Write(4, [0, 0, 0, 1]);
        FwCfgState state = _device.Save();
        FwCfg other = New();
        other.Load(state);
        Assert.Equal(state, other.Save());
        byte[] rest = new byte[1];
        ((IPortDevice)other).Read(1, rest);
        Assert.Equal((byte)'c', rest[0]);
    }

    private FwCfg New() => new(
        _memory.Guest, [(0x05, [2, 0])], [("b/second", [.. "second"u8]), ("a/first", [1, 2, 3])]);

    private void Choose(uint key) => Port.Write(0, [(byte)key, (byte)(key >> 8)]);

    private byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++) Port.Read(1, bytes.AsSpan(i, 1));
        return bytes;
    }

    private SortedDictionary<string, (uint Key, int Size)> Directory()
    {
        Choose(0x19);
        SortedDictionary<string, (uint, int)> files = new(StringComparer.Ordinal);
        int count = BinaryPrimitives.ReadInt32BigEndian(Bytes(4));
        for (int i = 0; i < count; i++)
        {
            byte[] entry = Bytes(64);
            string name = Encoding.ASCII.GetString(entry, 8, 56).TrimEnd('\0');
            files[name] = (BinaryPrimitives.ReadUInt16BigEndian(entry.AsSpan(4)), BinaryPrimitives.ReadInt32BigEndian(entry));
        }

        return files;
    }

    /// <summary>Returns what control says afterwards.</summary>
    private uint Transfer(uint control, uint address, uint length) => Transfer(_device, _memory.Guest, control, address, length);

    private static uint Transfer(IPortDevice device, GuestMemory memory, uint control, uint address, uint length)
    {
        Span<byte> access = memory.Write(new Gpa(0x1000), 16);
        BinaryPrimitives.WriteUInt32BigEndian(access, control);
        BinaryPrimitives.WriteUInt32BigEndian(access[4..], length);
        BinaryPrimitives.WriteUInt64BigEndian(access[8..], address);
        device.Write(8, [0, 0, 0x10, 0]);
        return BinaryPrimitives.ReadUInt32BigEndian(access);
    }
}
