using CsCheck;
using Xunit;

namespace CowMemory.Tests;

public sealed class DirtyPagesTests
{
    private const ulong Page = MemoryLayout.PageSize;

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(0, 1, 1)]
    [InlineData(Page - 1, 1, 1)]
    [InlineData(Page - 1, 2, 2)]
    [InlineData(Page, Page, 1)]
    [InlineData(1, Page, 2)]
    [InlineData(63 * Page, 2 * Page, 2)] // across two words of the bitmap
    [InlineData(0, 100 * Page, 100)]
    [InlineData(99 * Page, Page, 1)]
    public void A_range_marks_every_page_it_touches(ulong offset, ulong length, long pages)
    {
        DirtyPages dirty = new(100 * Page);
        dirty.Mark(offset, length);
        Assert.Equal(pages, dirty.Count);
        dirty.Mark(offset, length);
        Assert.Equal(pages, dirty.Count);
    }

    [Fact]
    public void The_bitmap_is_the_kernels_a_bit_a_page_lowest_first()
    {
        DirtyPages dirty = new(130 * Page);
        dirty.Mark(2 * Page, 1);
        dirty.Mark(64 * Page, 1);
        dirty.Mark(129 * Page, 1);
        Assert.Equal([1UL << 2, 1UL, 1UL << 1], dirty.Words.ToArray());
    }

    [Fact]
    public void Marks_from_many_threads_are_all_there()
    {
        const int Threads = 8, PagesEach = 4000;
        DirtyPages dirty = new(Threads * PagesEach * Page);
        using Barrier start = new(Threads);
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(t => new Thread(() =>
        {
            start.SignalAndWait();
            // Neighbouring pages belong to different threads: every word of the bitmap is fought over.
            for (int i = 0; i < PagesEach; i++) dirty.Mark((ulong)((i * Threads) + t) * Page, 1);
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.Equal(Threads * PagesEach, dirty.Count);
    }

    [Fact]
    public void Taking_moves_every_mark_exactly_once_while_others_mark()
    {
        const int Pages = 64 * 50;
        DirtyPages source = new(Pages * Page), taken = new(Pages * Page);
        using Barrier start = new(2);
        Thread marker = new(() =>
        {
            start.SignalAndWait();
            for (ulong page = 0; page < Pages; page++) source.Mark(page * Page, 1);
        });
        marker.Start();
        start.SignalAndWait(TestContext.Current.CancellationToken);
        while (marker.IsAlive)
        {
            long before = taken.Count;
            taken.TakeFrom(source);
            Assert.True(taken.Count >= before);
        }

        taken.TakeFrom(source);
        Assert.Equal((Pages, 0L), (taken.Count, source.Count));
    }

    [Fact]
    public void It_behaves_like_a_set()
    {
        const int Pages = 200;
        Gen.Select(Gen.ULong[0, (Pages * Page) - 1], Gen.ULong[0, 5 * Page]).List[0, 20].Sample(ranges =>
        {
            DirtyPages dirty = new(Pages * Page);
            HashSet<ulong> model = [];
            foreach ((ulong offset, ulong wanted) in ranges)
            {
                ulong length = Math.Min(wanted, (Pages * Page) - offset);
                dirty.Mark(offset, length);
                for (ulong at = offset; at < offset + length; at = (at / Page * Page) + Page) model.Add(at / Page);
            }

            return dirty.Count == model.Count;
        }, iter: 300);
    }
}
