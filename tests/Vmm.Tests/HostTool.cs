using System.Diagnostics;
using Xunit;

namespace Vmm.Tests;

/// <summary>
/// Runs a tool of the host that a test uses as its oracle. A tool that is missing or fails fails the test.
/// </summary>
internal static class HostTool
{
    public static string Run(string tool, string directory, params string[] arguments)
    {
        ProcessStartInfo start = new(tool, arguments)
        {
            WorkingDirectory = directory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd() + errors.Result;
        process.WaitForExit();
        Assert.True(
            process.ExitCode == 0, $"{tool} {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{output}");
        return output;
    }
}
