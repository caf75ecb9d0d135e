using System.Diagnostics;

namespace VirtioBlk.Store.Tests;

/// <summary>qemu-img and qemu-io: the oracles. Where they are not installed the tests fail.</summary>
internal static class Qemu
{
    /// <summary>Runs qemu-img, which must succeed.</summary>
    public static string Img(params string[] args) => Succeed("qemu-img", args);

    /// <summary>Runs commands of qemu-io on an image, which must succeed.</summary>
    public static string Io(string path, string format, params string[] commands)
    {
        string output = Succeed("qemu-io", ["-f", format, .. commands.SelectMany(c => new[] { "-c", c }), path]);
        // qemu-io exits with 0 even if a pattern did not match.
        Assert.DoesNotContain("Pattern verification failed", output, StringComparison.Ordinal);
        Assert.DoesNotContain("rror", output, StringComparison.Ordinal);
        return output;
    }

    /// <summary>Exit status of <c>qemu-img check</c>: 0 clean, 2 corrupt, 3 leaked clusters.</summary>
    public static int Check(string path, out string output)
    {
        int status;
        (status, output) = Run("qemu-img", ["check", "-U", "-f", "qcow2", path]);
        return status;
    }

    /// <summary>Asserts that <c>qemu-img check</c> finds nothing, not even leaks.</summary>
    public static void AssertClean(string path) => Assert.True(Check(path, out string output) == 0, output);

    /// <summary>The disk's content as QEMU sees it.</summary>
    public static byte[] ReadAll(string path, string format, TempFolder folder)
    {
        string raw = folder[Guid.NewGuid().ToString("N")];
        Img("convert", "-U", "-f", format, "-O", "raw", path, raw);
        byte[] bytes = File.ReadAllBytes(raw);
        File.Delete(raw);
        return bytes;
    }

    public static (int Status, string Output) Run(string tool, IEnumerable<string> args)
    {
        using Process process = Process.Start(new ProcessStartInfo(tool, args)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd() + errors.Result;
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private static string Succeed(string tool, string[] args)
    {
        (int status, string output) = Run(tool, args);
        Assert.True(status == 0, $"{tool} {string.Join(' ', args)}: exit {status}\n{output}");
        return output;
    }
}
