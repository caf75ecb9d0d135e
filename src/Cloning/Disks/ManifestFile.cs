using System.Text.Json;
using Cloning.Instances;
using Kvm.Interop;

namespace Cloning.Disks;

/// <summary>The manifest on disk. Replaced by write-temp, fsync, rename, fsync-directory, so that a reader finds the old one or the new one.</summary>
public sealed class ManifestFile : IDisposable
{
    private readonly string _path;
    private readonly string _staged, _unproved;
    private SafeFd? _replaced;

    /// <summary>Names the manifest of an instance.</summary>
    public ManifestFile(InstanceDirectory directory)
    {
        _path = directory.Manifest;
        _staged = directory.Manifest + ".next";
        _unproved = directory.Manifest + ".new";
    }

    /// <summary>What makes a file's entry durable: <see cref="Libc.SyncDirectoryOf"/>, where no test simulates another.</summary>
    internal Action<string> Sync { get; set; } = Libc.SyncDirectoryOf;

    /// <summary>Whether the instance has one: it has been started before.</summary>
    public bool Exists => File.Exists(_path);

    /// <summary>Reads it.</summary>
    /// <exception cref="InstanceException">It is damaged or of a later version.</exception>
    public DiskManifest Read()
    {
        DiskManifest? manifest;
        try
        {
            manifest = JsonSerializer.Deserialize(File.ReadAllBytes(_path), CloningJson.Default.DiskManifest);
        }
        catch (JsonException e)
        {
            throw new InstanceException($"{_path} is damaged: {e.Message}", inner: e);
        }

        return manifest switch
        {
            null => throw new InstanceException($"{_path} is empty"),
            { Version: not DiskManifest.CurrentVersion } => throw new InstanceException(
                $"{_path} has version {manifest.Version}; this bgkvm knows version {DiskManifest.CurrentVersion}"),
            _ => manifest,
        };
    }

    /// <summary>Replaces it, durably.</summary>
    public void Replace(DiskManifest manifest)
    {
        Stage(manifest);
        Commit();
        SyncDirectory();
    }

    /// <summary>
    /// First half, outside a pause: writes the next manifest beside the current one and makes it durable. Its last step is a rename
    /// in the same directory as the commit's, so that a directory that would refuse the commit refuses here, where giving up is free.
    /// </summary>
    /// <remarks>
    /// It keeps the current one open until <see cref="SyncDirectory"/>. Otherwise the commit's rename would have to free its blocks,
    /// for which ext4 at times waits for the journal: milliseconds instead of 60 us.
    /// </remarks>
    /// <exception cref="IOException">It did not work out; the old manifest still holds.</exception>
    public void Stage(DiskManifest manifest)
    {
        using (FileStream file = new(_unproved, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            JsonSerializer.Serialize(file, manifest, CloningJson.Default.DiskManifest);
            file.Flush(flushToDisk: true);
        }

        Rename(_unproved, _staged);
        ReleaseReplaced();
        _replaced = new SafeFd(Libc.open(_path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0)); // the first one replaces nothing
    }

    /// <summary>Second half, inside a pause: one rename(2). From here on the staged manifest is the truth for any process that looks.</summary>
    /// <exception cref="LibcException">It did not happen; the old manifest still holds.</exception>
    public void Commit() => Rename(_staged, _path);

    /// <summary>Third half, after the pause: makes the rename itself survive a power cut. No guest FLUSH may complete before.</summary>
    public void SyncDirectory()
    {
        ReleaseReplaced();
        Sync(_path);
    }

    /// <summary>Forgets a staged manifest that will not be committed.</summary>
    public void Unstage()
    {
        ReleaseReplaced();
        File.Delete(_staged);
    }

    /// <summary>Closes what <see cref="Stage"/> keeps open.</summary>
    public void Dispose() => ReleaseReplaced();

    private static void Rename(string from, string to)
    {
        if (Libc.rename(from, to) != 0) throw LibcException.FromLastError("rename", to);
    }

    private void ReleaseReplaced()
    {
        _replaced?.Dispose();
        _replaced = null;
    }
}
