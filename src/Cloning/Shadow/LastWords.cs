namespace Cloning.Shadow;

/// <summary>What a guest printed last, for the reason of an abort: one line that is safe to print on a terminal.</summary>
internal static class LastWords
{
    private const int MaxChars = 300, LogBytes = 4096;

    /// <summary>The end of an output; where the kernel panicked, from there on, since what follows is mostly a call trace.</summary>
    public static string Of(string output)
    {
        string text = string.Concat(output.Select(c => char.IsControl(c) ? ' ' : c)).Trim();
        int panic = text.LastIndexOf("Kernel panic", StringComparison.Ordinal);
        if (panic >= 0) return text[panic..Math.Min(text.Length, panic + MaxChars)];
        return text.Length == 0 ? "none" : text[Math.Max(0, text.Length - MaxChars)..];
    }

    /// <summary>The same of a console log, for when whoever saw the output can no longer be asked.</summary>
    public static string OfLog(string path)
    {
        try
        {
            using FileStream log = File.OpenRead(path);
            log.Seek(Math.Max(0, log.Length - LogBytes), SeekOrigin.Begin);
            using StreamReader reader = new(log, System.Text.Encoding.Latin1);
            return Of(reader.ReadToEnd());
        }
        catch (IOException)
        {
            return "none";
        }
    }
}
