using System.Text;

namespace Cloning.Instances;

/// <summary>What a guest printed last, for a report: lines that are safe to print on a terminal.</summary>
internal static class ConsoleTail
{
    private const int MaxLines = 10, MaxChars = 200, LogBytes = 4096;

    /// <summary>The last lines of an output that say something, oldest first; each cut to 200 characters.</summary>
    public static IReadOnlyList<string> Of(string output) =>
        [.. output.Split(['\n', '\r'], StringSplitOptions.RemoveEmptyEntries)
            .Select(Printable).Where(line => line.Length > 0).TakeLast(MaxLines)];

    /// <summary>The same of a console log, for when whoever saw the output can no longer be asked.</summary>
    public static IReadOnlyList<string> OfLog(string path)
    {
        try
        {
            using FileStream log = File.OpenRead(path);
            log.Seek(Math.Max(0, log.Length - LogBytes), SeekOrigin.Begin);
            using StreamReader reader = new(log, Encoding.Latin1);
            return Of(reader.ReadToEnd());
        }
        catch (IOException)
        {
            return [];
        }
    }

    /// <summary>A line without what a terminal would act on.</summary>
    public static string Printable(string line)
    {
        string text = string.Concat(line.Select(c => char.IsControl(c) ? ' ' : c)).Trim();
        return text.Length <= MaxChars ? text : text[..MaxChars];
    }
}
