using System.Runtime.InteropServices;
using Kvm.Interop;

namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// Brings an image's metadata to its file so that a crash at any point leaves at worst clusters that count as used and
/// are not.
/// </summary>
/// <remarks>
/// <para>Refcount blocks go first, then the refcount table, L2 tables and the L1 table. Before each kind that points at
/// something all that was written earlier, guest data included, is made durable: so nothing on disk ever points at a
/// cluster that does not count as used, or whose content is not there yet. Clusters that have lost their last pointer
/// are given back at the end, once nobody uses them any more.</para>
/// <para>The pages are taken all at once under the image's lock, so they are one consistent state; they are written
/// without it. A page that is changed meanwhile gets a new array and is dirty again. Flushes exclude each other.</para>
/// </remarks>
/// <param name="file">The image.</param>
/// <param name="geometry">Its cluster size.</param>
/// <param name="gate">The image's lock.</param>
/// <param name="cache">Its metadata.</param>
/// <param name="refcounts">Its free space.</param>
/// <param name="inUse">Where those are who may still use a cluster that has lost its entry.</param>
internal sealed class WriteBack(
    IHostFile file, Geometry geometry, Lock gate, MetaCache cache, Refcounts refcounts, GracePeriod inUse)
{
    private const int MaxVectors = 128;

    private readonly Lock _flushing = new();

    /// <summary>Whoever holds it keeps flushes out. Taken before the image's lock.</summary>
    public Lock Flushing => _flushing;

    /// <summary>Writes all metadata.</summary>
    /// <param name="durable">Whether everything written so far must survive a power cut when this returns.</param>
    public void Run(bool durable)
    {
        lock (_flushing)
        {
            List<(MetaPage Page, byte[] Bytes)> pages;
            List<ClusterRun> freed;
            lock (gate)
            {
                pages = cache.Capture();
                freed = refcounts.TakePending();
            }

            try
            {
                WriteInOrder(pages);
                // A cluster may be taken again only when no crash can bring back what pointed at it.
                if (durable || freed.Count > 0) file.Sync();
            }
            catch
            {
                lock (gate) refcounts.ReturnPending(freed);
                throw;
            }

            if (freed.Count > 0) GiveBack(freed);
        }
    }

    private void GiveBack(List<ClusterRun> freed)
    {
        inUse.Wait();
        List<(MetaPage, byte[])> pages;
        foreach (ClusterRun run in freed)
        {
            // Only flushes give clusters back that others may use too, and there is one at a time.
            List<ClusterRun> unused;
            lock (gate) unused = [.. refcounts.UsedOnce(run)];
            // Where that fails they keep their space, and may be taken again all the same.
            foreach (ClusterRun part in unused)
                file.TryPunch(part.First << geometry.ClusterBits, (long)part.Count << geometry.ClusterBits);
            lock (gate) refcounts.Release(run);
        }

        lock (gate) pages = cache.Capture(MetaKind.RefBlock);

        // Needs no order: until it is on disk the clusters count as used.
        WriteInOrder(pages);
    }

    private void WriteInOrder(List<(MetaPage Page, byte[] Bytes)> pages)
    {
        int done = 0;
        try
        {
            while (done < pages.Count)
            {
                MetaKind kind = pages[done].Page.Kind;
                if (kind != MetaKind.RefBlock && (done == 0 || pages[done - 1].Page.Kind != kind)) file.Sync();
                int count = 1;
                while (done + count < pages.Count
                    && count < MaxVectors
                    && Follows(pages[done + count - 1].Page, pages[done + count].Page))
                    count++;
                Write(CollectionsMarshal.AsSpan(pages).Slice(done, count));
                lock (gate)
                {
                    for (int i = 0; i < count; i++) MetaCache.Written(pages[done + i].Page);
                }

                done += count;
            }
        }
        catch
        {
            lock (gate)
            {
                foreach ((MetaPage page, _) in CollectionsMarshal.AsSpan(pages)[done..]) cache.NotWritten(page);
            }

            throw;
        }
    }

    private bool Follows(MetaPage a, MetaPage b) => b.Kind == a.Kind && b.Offset == a.Offset + cache.PageBytes;

    private void Write(ReadOnlySpan<(MetaPage Page, byte[] Bytes)> pages)
    {
        Span<IoVec> vectors = stackalloc IoVec[MaxVectors];
        Span<GCHandle> pins = stackalloc GCHandle[MaxVectors];
        int pinned = 0;
        try
        {
            for (; pinned < pages.Length; pinned++)
            {
                pins[pinned] = GCHandle.Alloc(pages[pinned].Bytes, GCHandleType.Pinned);
                vectors[pinned] = new IoVec(pins[pinned].AddrOfPinnedObject(), (nuint)cache.PageBytes);
            }

            file.Write(vectors[..pinned], pages[0].Page.Offset);
        }
        finally
        {
            foreach (GCHandle pin in pins[..pinned]) pin.Free();
        }
    }
}
