namespace VirtioBlk.Store;

/// <summary>A disk cannot be used as asked. The message is one line and starts with the disk's path.</summary>
public class DiskException : IOException
{
    /// <summary>Describes the problem.</summary>
    /// <param name="path">The file or block device.</param>
    /// <param name="problem">What is wrong with it, as the end of a sentence that begins with the path.</param>
    /// <param name="inner">What the host said, if it said anything.</param>
    public DiskException(string path, string problem, Exception? inner = null)
        : base($"{Printable(path)}: {problem}", inner) => Path = path;

    /// <summary>The file or block device it is about.</summary>
    public string Path { get; }

    /// <summary>Names come out of images others have made: keep a message one line, whatever they hold.</summary>
    internal static string Printable(string text) =>
        text.Any(char.IsControl) ? string.Concat(text.Select(c => char.IsControl(c) ? '?' : c)) : text;
}
