using System.Buffers.Binary;
using Kvm.Interop;
using Xunit;

namespace CowMemory.Tests;

/// <summary>Page tables filled beforehand.</summary>
public sealed class PopulateTests
{
    private const int Pages = 64;

    [Theory]
    [InlineData(MemoryView.Shared)]
    [InlineData(MemoryView.Private)]
    public void Maps_what_the_file_has_and_leaves_its_holes(MemoryView view)
    {
        const ulong Size = Pages * MemoryLayout.PageSize;
        int[] written = [0, 7, 8, 40, Pages - 1];
        using MemoryFile file = MemoryFile.Create("populate", Size);
        using (GuestMemory writer = GuestMemory.Map(file, new MemoryLayout(Size), MemoryView.Shared))
        {
            foreach (int page in written) Assert.True(writer.TryStore(new Gpa((ulong)page * MemoryLayout.PageSize), 1u));
        }

        using GuestMemory memory = GuestMemory.Map(file, new MemoryLayout(Size), view);
        Assert.Empty(Present(memory));
        memory.Populate(file);
        Assert.Equal(written, Present(memory));
        Assert.Equal(written, Enumerable.Range(0, Pages).Where(page => IsData(file, page)));
    }

    [Fact]
    public void A_file_without_content_is_no_trouble()
    {
        using MemoryFile file = MemoryFile.Create("populate", MemoryLayout.PageSize);
        using GuestMemory memory = GuestMemory.Map(file, new MemoryLayout(MemoryLayout.PageSize), MemoryView.Shared);
        memory.Populate(file);
        Assert.False(IsData(file, 0));
    }

    private static bool IsData(MemoryFile file, int page)
    {
        long start = page * (long)MemoryLayout.PageSize;
        return Libc.lseek(file.Fd.Fd, start, Libc.SEEK_DATA) == start;
    }

    // proc_pid_pagemap(5): 64 bits a page, the topmost says that it is present.
    private static int[] Present(GuestMemory memory)
    {
        using FileStream map = File.OpenRead("/proc/self/pagemap");
        map.Seek(memory.HostAddress / (nint)MemoryLayout.PageSize * sizeof(ulong), SeekOrigin.Begin);
        byte[] entries = new byte[Pages * sizeof(ulong)];
        map.ReadExactly(entries);
        return [.. Enumerable.Range(0, Pages).Where(page =>
            BinaryPrimitives.ReadUInt64LittleEndian(entries.AsSpan(page * sizeof(ulong))) >> 63 != 0)];
    }
}
