namespace VirtioBlk.Store.Tests;

/// <summary>
/// A folder for one test's files: in memory, where syncing costs nothing, unless a real file system is asked for.
/// </summary>
internal sealed class TempFolder(bool onDisk = false) : IDisposable
{
    private const string Memory = "/dev/shm";

    public string Path { get; } = onDisk || !Directory.Exists(Memory)
        ? Directory.CreateTempSubdirectory("bgkvm-store-").FullName
        : Directory.CreateDirectory(System.IO.Path.Combine(Memory, $"bgkvm-store-{Guid.NewGuid():N}")).FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
