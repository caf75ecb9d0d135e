using CsCheck;
using Kvm.Interop;
using Xunit;

namespace CowMemory.Tests;

/// <summary>The one place where guest-physical addresses are checked.</summary>
public sealed class GuestMemoryTests : IDisposable
{
    private const ulong Page = MemoryLayout.PageSize;
    private const ulong HoleStart = MemoryLayout.HoleStart, HoleEnd = MemoryLayout.HoleEnd;
    private const ulong Above = 16 * Page, Size = HoleStart + Above, End = HoleEnd + Above;

    // Reaches beyond the hole; nothing of it is allocated until it is touched.
    private readonly MemoryFile _file = MemoryFile.Create("guest-memory-tests", Size);
    private readonly GuestMemory _memory;

    public GuestMemoryTests() => _memory = GuestMemory.Map(_file, new MemoryLayout(Size), MemoryView.Shared);

    public void Dispose()
    {
        _memory.Dispose();
        _file.Dispose();
    }

    [Theory]
    [InlineData(0, 1, true)]
    [InlineData(0, int.MaxValue, true)]
    [InlineData(HoleStart - 8, 8, true)]
    [InlineData(HoleStart - 8, 9, false)]
    [InlineData(HoleStart, 0, true)]
    [InlineData(HoleStart, 1, false)]
    [InlineData(HoleStart + 1, 0, false)]
    [InlineData(HoleEnd - 1, 1, false)]
    [InlineData(HoleEnd - 1, 2, false)]
    [InlineData(HoleEnd, 1, true)]
    [InlineData(HoleEnd, (int)Above, true)]
    [InlineData(HoleEnd, (int)Above + 1, false)]
    [InlineData(End - 1, 1, true)]
    [InlineData(End - 1, 2, false)]
    [InlineData(End, 0, true)]
    [InlineData(End, 1, false)]
    [InlineData(ulong.MaxValue, 0, false)]
    [InlineData(ulong.MaxValue, 1, false)]
    [InlineData(ulong.MaxValue - 3, 8, false)]
    [InlineData(ulong.MaxValue - 3, int.MaxValue, false)]
    [InlineData(0, -1, false)]
    [InlineData(0, int.MinValue, false)]
    public void Every_way_in_agrees_on_what_is_memory(ulong address, int length, bool isMemory)
    {
        Gpa gpa = new(address);
        Assert.Equal(isMemory, _memory.TryRead(gpa, length, out ReadOnlySpan<byte> read));
        Assert.Equal(isMemory, _memory.TryWrite(gpa, length, out Span<byte> written));
        Assert.Equal((isMemory ? length : 0, isMemory ? length : 0), (read.Length, written.Length));
        if (length >= 0)
        {
            Assert.Equal(isMemory, _memory.TryVector(gpa, (uint)length, out IoVec vector));
            if (isMemory) Assert.Equal((nuint)length, vector.Length);
        }

        if (isMemory) return;
        Assert.Throws<GuestMemoryException>(() => _memory.Read(gpa, length).Length);
        Assert.Throws<GuestMemoryException>(() => _memory.Write(gpa, length).Length);
    }

    [Fact]
    public void The_check_is_that_of_arithmetic_without_bounds()
    {
        ulong[] edges = [0, Page, HoleStart, HoleEnd, End, 1UL << 63, ulong.MaxValue];
        Gen<ulong> nearAnEdge = Gen.Select(
            Gen.Int[0, edges.Length - 1], Gen.Long[-70000, 70000], (edge, delta) => edges[edge] + (ulong)delta);
        Gen<uint> lengths = Gen.OneOf(Gen.UInt, Gen.UInt[0, 100], Gen.UInt[uint.MaxValue - 2, uint.MaxValue]);
        Gen.Select(Gen.OneOf(nearAnEdge, Gen.ULong), lengths)
            .Sample((address, length) =>
            {
                UInt128 end = (UInt128)address + length;
                bool isMemory = end <= HoleStart || (address >= HoleEnd && end <= End);
                return _memory.TryVector(new Gpa(address), length, out _) == isMemory;
            }, iter: 200_000);
    }

    [Fact]
    public void What_is_stored_is_loaded_on_both_sides_of_the_hole()
    {
        foreach (ulong address in (ulong[])[0, 1, HoleStart - 8, HoleEnd, End - 8])
        {
            ulong value = address ^ 0xA5A5_5A5A_1234_5678;
            Assert.True(_memory.TryStore(new Gpa(address), value));
            Assert.True(_memory.TryLoad(new Gpa(address), out ulong loaded));
            Assert.Equal(value, loaded);
        }

        foreach (ulong address in (ulong[])[HoleStart - 7, HoleEnd - 1, End - 7, ulong.MaxValue])
        {
            Assert.False(_memory.TryStore(new Gpa(address), 1UL));
            Assert.False(_memory.TryLoad(new Gpa(address), out ulong loaded));
            Assert.Equal(0UL, loaded);
        }
    }

    [Fact]
    public void The_memory_above_the_hole_follows_directly_in_the_file()
    {
        Assert.True(_memory.TryStore(new Gpa(HoleEnd), 0x1122_3344u));
        Assert.True(_memory.TryVector(new Gpa(HoleEnd), 4, out IoVec vector));
        Assert.Equal(HoleStart, (ulong)(vector.Base - _memory.HostAddress));
    }

    [Fact]
    public void Ring_indices_must_be_aligned()
    {
        Assert.True(_memory.TryStoreRelease(new Gpa(End - 2), 0xBEEF));
        Assert.True(_memory.TryLoadAcquire(new Gpa(End - 2), out ushort index));
        Assert.Equal(0xBEEF, index);
        foreach (ulong address in (ulong[])[1, HoleStart, End, End - 1, ulong.MaxValue])
        {
            Assert.False(_memory.TryStoreRelease(new Gpa(address), 1));
            Assert.False(_memory.TryLoadAcquire(new Gpa(address), out _));
        }
    }

    [Fact]
    public void The_hosts_own_writes_are_recorded_by_place_in_the_file()
    {
        DirtyPages dirty = new(Size);
        Assert.True(_memory.TryStore(new Gpa(0x1000), 1u)); // before recording
        _memory.HostWrites = dirty;

        Assert.True(_memory.TryRead(new Gpa(0x2000), 8, out _));
        Assert.True(_memory.TryLoad(new Gpa(0x2000), out ulong _));
        Assert.True(_memory.TryLoadAcquire(new Gpa(0x2000), out _));
        Assert.True(_memory.TryVector(new Gpa(0x2000), 8, out IoVec vector)); // who writes it says so afterwards
        Assert.False(_memory.TryStore(new Gpa(HoleStart), 1u));
        Assert.False(_memory.TryWrite(new Gpa(HoleStart), 1, out _));
        Assert.Equal(0, dirty.Count);

        _memory.MarkWritten([vector]);
        Assert.Equal([2UL], Pages(dirty));
        Assert.True(_memory.TryStore(new Gpa(0x4FFE), 1u)); // crosses into the next page
        Assert.True(_memory.TryStoreRelease(new Gpa(0x7000), 1));
        Assert.True(_memory.TryWrite(new Gpa(0x9000), 3 * (int)Page, out _));
        Assert.True(_memory.TryWrite(new Gpa(0xF000), 0, out _));
        Assert.True(_memory.TryStore(new Gpa(End - 8), 1UL));
        Assert.Equal([2UL, 4, 5, 7, 9, 10, 11, (Size / Page) - 1], Pages(dirty));

        _memory.HostWrites = null;
        Assert.True(_memory.TryStore(new Gpa(0x2_0000), 1u));
        _memory.MarkWritten([vector]);
        Assert.Equal(8, dirty.Count);
    }

    [Fact]
    public void A_layout_of_another_size_is_refused() =>
        Assert.Throws<ArgumentException>(() =>
            GuestMemory.Map(_file, new MemoryLayout(Size - Page), MemoryView.Shared));

    private static List<ulong> Pages(DirtyPages dirty)
    {
        List<ulong> pages = [];
        for (int word = 0; word < dirty.Words.Length; word++)
            for (int bit = 0; bit < 64; bit++)
                if ((dirty.Words[word] >> bit & 1) != 0) pages.Add((ulong)((word * 64) + bit));
        return pages;
    }
}
