using VirtioBlk.Store.Qcow2;

namespace VirtioBlk.Store.Tests;

public sealed class MetaCacheTests : IDisposable
{
    private const int PageBytes = 4096;

    private readonly RecordingFile _file = new("recorded", new byte[64 * PageBytes]);

    public void Dispose() => _file.Dispose();

    [Fact]
    public void A_page_that_is_being_written_is_not_changed_under_the_writer()
    {
        MetaCache cache = new(_file, 65536, 16);
        cache.SetEntry(0, MetaKind.L2, 1);
        (MetaPage page, byte[] bytes) = Assert.Single(cache.Capture());
        cache.SetEntry(0, MetaKind.L2, 2);
        Assert.Equal(1, bytes[7]);
        Assert.Equal(2UL, cache.Entry(0, MetaKind.L2));

        // The newer content is still to be written, whether the older one has got to the file or not.
        MetaCache.Written(page);
        Assert.Equal(2, Assert.Single(cache.Capture()).Bytes[7]);
        cache.NotWritten(page);
        Assert.Equal(2, Assert.Single(cache.Capture()).Bytes[7]);
    }

    [Fact]
    public void Pages_leave_in_the_order_in_which_they_must_be_written()
    {
        MetaCache cache = new(_file, 65536, 16);
        cache.SetEntry(0, MetaKind.L1, 1);
        cache.SetEntry(2 * PageBytes, MetaKind.L2, 1);
        cache.SetEntry(PageBytes, MetaKind.L2, 1);
        cache.SetEntry(3 * PageBytes, MetaKind.RefTable, 1);
        cache.SetEntry(4 * PageBytes, MetaKind.RefBlock, 1);
        Assert.Equal(
            [4 * PageBytes, 3 * PageBytes, PageBytes, 2 * PageBytes, 0],
            cache.Capture().Select(captured => captured.Page.Offset));
    }

    [Fact]
    public void Only_clean_pages_are_evicted_and_the_cache_stays_bounded()
    {
        MetaCache cache = new(_file, 65536, 16);
        for (int i = 0; i < 8; i++) cache.SetEntry(i * PageBytes, MetaKind.L2, 7);
        Assert.True(cache.IsCrowded);
        int reads = _file.Reads;
        for (int round = 0; round < 4; round++)
        {
            for (int i = 8; i < 64; i++) Assert.Equal(0UL, cache.Entry(i * PageBytes, MetaKind.L2));
        }

        Assert.InRange(_file.Reads - reads, 4 * 48, 4 * 56);
        reads = _file.Reads;
        for (int i = 0; i < 8; i++) Assert.Equal(7UL, cache.Entry(i * PageBytes, MetaKind.L2));
        Assert.Equal(reads, _file.Reads);
    }

    [Fact]
    public void One_place_is_one_kind_of_metadata()
    {
        MetaCache cache = new(_file, 65536, 16);
        cache.Get(0, MetaKind.L2);
        Assert.Equal(
            "recorded: corrupt: 0x8 is used as L2 and as RefBlock",
            Assert.Throws<DiskException>(() => cache.Get(8, MetaKind.RefBlock)).Message);
    }
}
