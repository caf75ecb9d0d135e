using System.Diagnostics;
using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>gcc as the judge of what the system's headers say.</summary>
internal static class CCompiler
{
    /// <summary>
    /// Compiles a C program without linking it. Every diagnostic fails the test, a missing compiler too.
    /// </summary>
    internal static void AssertCompiles(string source)
    {
        string[] arguments = ["-std=gnu11", "-Wall", "-fsyntax-only", "-x", "c", "-"];
        using Process gcc = Process.Start(new ProcessStartInfo("gcc", arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
        })!;
        // gcc reads all of its input before it complains.
        gcc.StandardInput.Write(source);
        gcc.StandardInput.Close();
        string errors = gcc.StandardError.ReadToEnd();
        gcc.WaitForExit();
        Assert.True(gcc.ExitCode == 0 && errors.Length == 0, $"gcc (exit {gcc.ExitCode}):\n{errors}");
    }
}
