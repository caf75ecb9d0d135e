using Kvm.Interop;
using Xunit;

namespace CowMemory.Tests;

/// <summary>The central trap of forking a machine, and the proof that it was stepped around.</summary>
public sealed class FreezeTests : IDisposable
{
    private const ulong Size = 64 * MemoryLayout.PageSize;
    private static readonly Gpa s_touched = new(0x3000), s_untouched = new(0x8000);

    private readonly MemoryFile _file = MemoryFile.Create("freeze", Size);

    public void Dispose() => _file.Dispose();

    [Fact]
    public void A_private_view_of_memory_that_is_still_written_is_not_a_snapshot()
    {
        using GuestMemory running = Map(MemoryView.Shared);
        Store(running, s_touched, 1);
        Store(running, s_untouched, 1);
        using GuestMemory view = Map(MemoryView.Private);
        Store(view, s_touched, 10); // a page of its own from now on
        Store(running, s_touched, 2);
        Store(running, s_untouched, 2);
        Assert.Equal(10u, Load(view, s_touched));
        Assert.Equal(2u, Load(view, s_untouched)); // not 1, what it was when the view was made
    }

    [Fact]
    public void Freezing_is_refused_while_anybody_could_write()
    {
        GuestMemory running = Map(MemoryView.Shared);
        Assert.Equal(Libc.EBUSY, Assert.Throws<LibcException>(_file.SealFrozen).Errno);
        using GuestMemory view = Map(MemoryView.Private);
        Assert.Equal(Libc.EBUSY, Assert.Throws<LibcException>(_file.SealFrozen).Errno); // the private one does not help
        Store(running, s_touched, 5);
        running.Dispose();
        _file.SealFrozen();
        Assert.Equal(5u, Load(view, s_touched));
    }

    [Fact]
    public void Frozen_memory_cannot_be_written_or_mapped_for_it_again()
    {
        using (GuestMemory running = Map(MemoryView.Shared)) Store(running, s_touched, 1);
        _file.SealFrozen();
        _file.SealFrozen(); // again is no harm
        Assert.Equal("mmap", Assert.Throws<LibcException>(() => Map(MemoryView.Shared)).Call);
        Assert.Equal("mmap", Assert.Throws<LibcException>(() =>
        {
            using MemoryFile other = _file.Duplicate();
            using GuestMemory memory = GuestMemory.Map(other, new MemoryLayout(Size), MemoryView.Shared);
        }).Call);
    }

    [Fact]
    public void Both_sides_of_a_fork_go_on_from_frozen_memory_each_for_itself()
    {
        using (GuestMemory before = Map(MemoryView.Shared))
        {
            for (ulong page = 0; page < Size; page += MemoryLayout.PageSize) Store(before, new Gpa(page), (uint)page);
        }

        using GuestMemory instance = Map(MemoryView.Private);
        using GuestMemory shadow = Map(MemoryView.Private);
        _file.SealFrozen(); // private views, writable, do not count
        Store(instance, s_touched, 100);
        Store(shadow, s_touched, 200);
        Store(shadow, s_untouched, 300);
        Assert.Equal((100u, (uint)s_untouched.Value), (Load(instance, s_touched), Load(instance, s_untouched)));
        Assert.Equal((200u, 300u), (Load(shadow, s_touched), Load(shadow, s_untouched)));
        // What neither has touched is what was frozen; and a third view sees nothing of either.
        using GuestMemory third = Map(MemoryView.Private);
        for (ulong page = 0; page < Size; page += MemoryLayout.PageSize)
            Assert.Equal((uint)page, Load(third, new Gpa(page)));
    }

    private GuestMemory Map(MemoryView view) => GuestMemory.Map(_file, new MemoryLayout(Size), view);

    private static void Store(GuestMemory memory, Gpa address, uint value) =>
        Assert.True(memory.TryStore(address, value));

    private static uint Load(GuestMemory memory, Gpa address)
    {
        Assert.True(memory.TryLoad(address, out uint value));
        return value;
    }
}
