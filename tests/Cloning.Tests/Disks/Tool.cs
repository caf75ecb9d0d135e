using System.Diagnostics;

namespace Cloning.Tests.Disks;

/// <summary>A tool of the host, run to its end.</summary>
internal static class Tool
{
    public static (int Status, string Output) Run(string program, params string[] args)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, args)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd() + errors.Result;
        process.WaitForExit();
        return (process.ExitCode, output);
    }
}
