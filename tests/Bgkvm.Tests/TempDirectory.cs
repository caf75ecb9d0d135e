namespace Bgkvm.Tests;

/// <summary>A directory that vanishes.</summary>
internal sealed class TempDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("bgkvm-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
