using Cloning.Instances;
using VirtioBlk;
using VirtioBlk.Store;

namespace Cloning.Disks;

/// <summary>
/// A system disk as one process has it open: a chain of layers, of which only the top one is written. A fork gives each side an
/// overlay of its own over the same, now frozen, layers (<see cref="WithOverlay"/>); those stay open once and are shared.
/// </summary>
/// <remarks>A read-only disk is its base alone and never forks.</remarks>
public sealed class SystemDisk
{
    private readonly IBlockBackend[] _open;

    private SystemDisk(IReadOnlyList<Layer> layers, IBlockBackend[] open)
    {
        Layers = layers;
        _open = open;
    }

    /// <summary>The chain, base first.</summary>
    public IReadOnlyList<Layer> Layers { get; }

    /// <summary>What the guest's disk reads and writes: the top layer.</summary>
    public IBlockBackend Device => _open[^1];

    /// <summary>The top layer, as what it is.</summary>
    public IDiskLayer TopLayer => (IDiskLayer)_open[^1];

    /// <summary>The base: the user's own image.</summary>
    internal IBlockBackend Base => _open[0];

    /// <summary>Whether the guest may only read it.</summary>
    public bool IsReadOnly => _open.Length == 1;

    /// <summary>Guest data that the top layer holds, bytes; whole clusters.</summary>
    public long TopBytes => IsReadOnly ? 0 : Top.AllocatedBytes;

    private Qcow2Image Top => (Qcow2Image)_open[^1];

    /// <summary>Makes the file of a new, empty layer over a chain.</summary>
    /// <param name="directory">The instance's layer directory.</param>
    /// <param name="below">The chain it goes on top of.</param>
    /// <param name="overlay">The new layer.</param>
    /// <param name="sizeBytes">The disk's size.</param>
    /// <exception cref="IOException">No space, or the file exists.</exception>
    public static void CreateOverlay(string directory, IReadOnlyList<Layer> below, Layer overlay, long sizeBytes)
    {
        // Relative names make an instance directory that can be moved; the user's own image keeps its absolute path.
        Layer backing = below[^1];
        Qcow2Image.Create(Path.Combine(directory, overlay.Path), sizeBytes, backing.Path, ParseFormat(backing));
    }

    /// <summary>Opens a chain: the last layer for writing, all others for reading. A chain of one is opened for reading.</summary>
    /// <param name="directory">The instance's layer directory.</param>
    /// <param name="layers">The chain, base first.</param>
    /// <param name="readOnly">Whether the last layer, too, is only to be read.</param>
    /// <exception cref="InstanceException">A layer is missing, locked, or not what it should be.</exception>
    public static SystemDisk Open(string directory, IReadOnlyList<Layer> layers, bool readOnly = false)
    {
        List<IBlockBackend> open = [];
        try
        {
            for (int i = 0; i < layers.Count; i++)
            {
                bool writable = !readOnly && i > 0 && i == layers.Count - 1;
                open.Add(OpenLayer(directory, layers[i], writable, below: open.Count > 0 ? open[^1] : null));
            }

            return new SystemDisk(layers, [.. open]);
        }
        catch
        {
            CloseAll(open);
            throw;
        }
    }

    /// <summary>The same chain with an overlay on top, which is opened for writing. Layers below are shared with this object.</summary>
    public SystemDisk WithOverlay(string directory, Layer overlay) =>
        new([.. Layers, overlay], [.. _open, OpenLayer(directory, overlay, writable: true, below: _open[^1])]);

    /// <summary>The chain without its top layer, sharing the others.</summary>
    public SystemDisk BelowTop() => IsReadOnly ? this : new([.. Layers.SkipLast(1)], _open[..^1]);

    /// <summary>Nothing may write the top layer any more. No I/O: what is not in its file yet stays readable here.</summary>
    public void Freeze()
    {
        if (!IsReadOnly) Top.Freeze();
    }

    /// <summary>Brings everything below the top layer into its files, durably.</summary>
    public void FlushBelowTop()
    {
        if (!IsReadOnly) _open[^2].Flush();
    }

    /// <summary>
    /// The layer that the one above it passes over: its merge is complete, but it is still named here and in the manifest. Null for none.
    /// </summary>
    internal Layer? Merged => MergedIndex is int index ? Layers[index] : null;

    private int? MergedIndex
    {
        get
        {
            for (int i = _open.Length - 1; i > 0; i--)
                if (((Qcow2Image)_open[i]).Backing != _open[i - 1]) return i - 1;
            return null;
        }
    }

    /// <summary>Prepares to merge the layer right below the top one into the layer below that, which is one of ours.</summary>
    internal LayerMerge MergeBelowTop()
    {
        // The merge follows the layers' own links. Where those are not this chain, or end in the user's image, it must not begin.
        if (_open.Length < 4 || MergedIndex is not null) throw new InvalidOperationException("the chain has nothing to merge");
        return new LayerMerge(Top);
    }

    /// <summary>The chain without the layer that has been merged, which is closed.</summary>
    internal SystemDisk WithoutMerged()
    {
        int merged = MergedIndex ?? throw new InvalidOperationException("no layer has been merged");
        return new SystemDisk(
            [.. Layers.Take(merged), .. Layers.Skip(merged + 1)], [.. _open[..merged], .. _open[(merged + 1)..]]);
    }

    /// <summary>Closes only the top layer: those below belong to another chain as well.</summary>
    public void CloseTop()
    {
        if (!IsReadOnly) _open[^1].Dispose();
    }

    /// <summary>Closes all layers, the top one first, which makes it durable.</summary>
    public void Close() => CloseAll(_open);

    private static void CloseAll(IEnumerable<IBlockBackend> layers)
    {
        foreach (IBlockBackend layer in layers.Reverse()) layer.Dispose();
    }

    private static IBlockBackend OpenLayer(string directory, Layer layer, bool writable, IBlockBackend? below)
    {
        string path = Path.Combine(directory, layer.Path);
        try
        {
            // The user's own image may have backing files of its own; ours are named by the manifest alone.
            return below is null
                ? DiskChain.Open(path, ParseFormat(layer), readOnly: true)
                : Qcow2Image.Open(path, readOnly: !writable, below, ownsBacking: false);
        }
        catch (IOException e)
        {
            throw new InstanceException($"Cannot open disk layer {path}: {e.Message}", inner: e);
        }
    }

    private static DiskFormat ParseFormat(Layer layer) =>
        DiskFormats.Parse(layer.Format) ?? throw new InstanceException($"{layer.Path} has the unknown format '{layer.Format}'");
}
