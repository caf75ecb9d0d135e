using TestKit;

namespace Architecture.Tests;

/// <summary>The files of the source tree, without what is built or cached.</summary>
internal static class Tree
{
    private static readonly string[] s_skipped =
        ["artifacts", "bin", "obj", ".git", ".vs", ".idea", "BenchmarkDotNet.Artifacts"];

    /// <summary>All files below a folder of the root, as paths relative to the root.</summary>
    internal static IReadOnlyList<string> Files(string folder, string pattern = "*") =>
        [.. Walk(Repository.PathOf(folder), pattern)
            .Select(path => Path.GetRelativePath(Repository.Root, path)).Order()];

    internal static string[] Lines(string path) => File.ReadAllLines(Repository.PathOf(path));

    private static IEnumerable<string> Walk(string directory, string pattern)
    {
        if (!Directory.Exists(directory)) return [];
        return Directory.EnumerateFiles(directory, pattern).Concat(Directory.EnumerateDirectories(directory)
            .Where(d => !s_skipped.Contains(Path.GetFileName(d)) && new DirectoryInfo(d).LinkTarget is null)
            .SelectMany(d => Walk(d, pattern)));
    }
}
