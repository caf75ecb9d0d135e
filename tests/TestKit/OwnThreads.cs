namespace TestKit;

/// <summary>The threads of this process, tests beside this one included.</summary>
public static class OwnThreads
{
    /// <summary>Their names now; empty for one that has ended while it was looked at.</summary>
    public static string[] Names() => [.. Directory.GetDirectories("/proc/self/task").Select(NameOf)];

    private static string NameOf(string thread)
    {
        try
        {
            return File.ReadAllText($"{thread}/comm").Trim();
        }
        catch (IOException)
        {
            return "";
        }
    }
}
