namespace Bgkvm.Tests;

/// <summary>How a command ended.</summary>
internal sealed record Outcome(int ExitCode, string Output, string Error)
{
    /// <summary>What it said on stderr, which must be one line.</summary>
    public string ErrorLine
    {
        get
        {
            string line = Assert.Single(Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
            Assert.StartsWith("bgkvm: ", line);
            return line["bgkvm: ".Length..];
        }
    }
}
