namespace TestKit;

/// <summary>Where the sources are, for tests that read them.</summary>
public static class Repository
{
    /// <summary>The directory that holds BgReboot.sln, absolute.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>An absolute path from one relative to the root.</summary>
    public static string PathOf(params ReadOnlySpan<string> parts) => Path.Combine([Root, .. parts]);

    private static string FindRoot()
    {
        for (string? directory = AppContext.BaseDirectory; directory is not null; directory = Path.GetDirectoryName(directory))
            if (File.Exists(Path.Combine(directory, "BgReboot.sln"))) return directory;
        throw new DirectoryNotFoundException($"No BgReboot.sln above {AppContext.BaseDirectory}");
    }
}
