using Kvm.Interop;
using Xunit;

namespace CowMemory.Tests;

public sealed class MemoryFileTests
{
    private const ulong Size = 64 * MemoryLayout.PageSize;

    [Fact]
    public void A_new_file_has_its_size_and_keeps_it()
    {
        using MemoryFile file = MemoryFile.Create("size", Size);
        Assert.Equal(Size, file.SizeBytes);
        Assert.Equal((long)Size, Libc.lseek(file.Fd.Fd, 0, 2));
        Assert.Equal(-1, Libc.ftruncate(file.Fd.Fd, (long)Size - 4096));
        Assert.Equal(-1, Libc.ftruncate(file.Fd.Fd, (long)Size + 4096));
        Assert.Equal((long)Size, Libc.lseek(file.Fd.Fd, 0, 2));
    }

    [Fact]
    public void A_new_file_reads_as_zeros_and_takes_no_memory()
    {
        const ulong Huge = 1UL << 40; // a tebibyte: more than this host has
        using MemoryFile file = MemoryFile.Create("huge", Huge);
        using GuestMemory memory = GuestMemory.Map(file, new MemoryLayout(Huge), MemoryView.Shared);
        Assert.True(memory.TryLoad(new Gpa(Huge), out ulong value));
        Assert.Equal(0UL, value);
    }

    [Fact]
    public void A_size_no_file_can_have_is_a_clear_error()
    {
        LibcException e = Assert.Throws<LibcException>(() => MemoryFile.Create("impossible", 1UL << 63));
        Assert.Equal("ftruncate", e.Call);
    }

    [Fact]
    public void A_file_can_be_adopted_by_its_descriptor()
    {
        using MemoryFile file = MemoryFile.Create("sent", Size);
        using MemoryFile adopted = MemoryFile.Adopt(file.Fd.Duplicate(), Size);
        using GuestMemory first = GuestMemory.Map(file, new MemoryLayout(Size), MemoryView.Shared);
        using GuestMemory second = GuestMemory.Map(adopted, new MemoryLayout(Size), MemoryView.Shared);
        Assert.True(first.TryStore(new Gpa(0x5008), 42u));
        Assert.True(second.TryLoad(new Gpa(0x5008), out uint value));
        Assert.Equal(42u, value);
    }

    [Fact]
    public void A_descriptor_that_is_not_a_memory_file_is_refused()
    {
        SafeFd notMemory = new(Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0));
        Assert.Throws<LibcException>(() => MemoryFile.Adopt(notMemory, Size));
        Assert.True(notMemory.IsClosed); // it was handed over, whatever came of it
    }

    [Fact]
    public void A_file_that_could_still_shrink_is_refused()
    {
        SafeFd unsealed = new(Libc.memfd_create("unsealed", Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING));
        Assert.Equal(0, Libc.ftruncate(unsealed.Fd, (long)Size));
        Assert.Equal(Libc.EINVAL, Assert.Throws<LibcException>(() => MemoryFile.Adopt(unsealed, Size)).Errno);
    }

    [Theory]
    [InlineData(Size + MemoryLayout.PageSize)] // touching what is missing would be a SIGBUS
    [InlineData(Size - MemoryLayout.PageSize)]
    public void A_file_of_another_size_than_promised_is_refused(ulong promised)
    {
        using MemoryFile file = MemoryFile.Create("short", Size);
        LibcException e = Assert.Throws<LibcException>(() => MemoryFile.Adopt(file.Fd.Duplicate(), promised));
        Assert.Equal(Libc.EINVAL, e.Errno);
    }

    [Fact]
    public void Mappings_and_duplicates_outlive_the_file_object()
    {
        MemoryFile file = MemoryFile.Create("short-lived", Size);
        using MemoryFile duplicate = file.Duplicate();
        using GuestMemory memory = GuestMemory.Map(file, new MemoryLayout(Size), MemoryView.Shared);
        file.Dispose();
        Assert.True(memory.TryStore(new Gpa(0), 7u));
        using GuestMemory again = GuestMemory.Map(duplicate, new MemoryLayout(Size), MemoryView.Shared);
        Assert.True(again.TryLoad(new Gpa(0), out uint value));
        Assert.Equal(7u, value);
    }
}
