using System.Diagnostics;
using System.Text;
using CowMemory;
using Vmm.Boot;
using Xunit;

namespace Vmm.Tests.Boot;

/// <summary>Whatever is wrong with the files is said in one line that names the file, before anything runs.</summary>
public sealed class BootImageErrorTests : IDisposable
{
    private const int MiB = 1 << 20;
    private readonly TempDirectory _directory = new();
    private readonly TestMemory _memory = new(64 * MiB);

    public static TheoryData<string, byte[], string> BadKernels => new()
    {
        { "empty", [], "is empty" },
        { "text", Encoding.ASCII.GetBytes("root=/dev/vda1\n"), "is not a Linux kernel for x86-64: neither" },
        { "zeros", new byte[8192], "neither a bzImage nor an ELF vmlinux" },
        { "gzip", [0x1F, 0x8B, 8, 0], "it looks like a gzip file" },
        { "xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "it looks like an xz file" },
        { "zstd", [0x28, 0xB5, 0x2F, 0xFD], "it looks like a zstd file" },
        { "bzip2", Encoding.ASCII.GetBytes("BZh91AY"), "it looks like a bzip2 file" },
        { "lz4", [0x04, 0x22, 0x4D, 0x18], "it looks like an lz4 file" },
        { "initrd", Encoding.ASCII.GetBytes("070701000001"), "it looks like a cpio archive, as initrds are" },
        { "qcow2", [0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3], "it looks like a qcow2 disk image" },
        { "deb", Encoding.ASCII.GetBytes("!<arch>\ndebian"), "it looks like a package or library archive" },
        { "script", Encoding.ASCII.GetBytes("#!/bin/sh\n"), "it looks like a script" },
        { "efi", Patched(512, (0, "MZ")), "it looks like an EFI program" },
        { "arm64", Patched(512, (0, "MZ"), (0x38, "ARM\x64")), "it looks like an arm64 kernel" },
        { "riscv", Patched(512, (0, "MZ"), (0x38, "RSC\u0005")), "it looks like a RISC-V kernel" },
        { "mbr", Patched(4096, (0x1FE, "U\u00AA")), "it looks like a disk image" },
        { "ext4", Patched(4096, (0x438, "S\u00EF")), "it looks like an ext4 disk image" },
        { "old", KernelFile.BzImage(version: 0x20B), "no 64-bit entry point (boot protocol 2.11; x86-64 since 2.12" },
        { "32bit", KernelFile.BzImage(loadFlags: 0x7E), "has no 64-bit entry point (boot protocol 2.15" },
        { "cut-header", KernelFile.BzImage()[..0x250], "is truncated: it has 592 bytes" },
        { "cut-setup", KernelFile.BzImage()[..1024], "is truncated: it has 1024 bytes" },
        { "cut-payload", KernelFile.BzImage()[..^1], "is truncated" },
        { "low", KernelFile.BzImage(address: 0x8_0000), "is damaged: its header makes no sense" },
        { "large", KernelFile.BzImage(initSize: 60 * MiB), "too large for the machine's memory: it needs 76 MiB, and has" },
        { "high", KernelFile.BzImage(address: 0x1_0000_0000), "is too large for the machine's memory" },
        { "absurd", KernelFile.BzImage(address: ulong.MaxValue), "is too large for the machine's memory" },
        { "elf32", KernelFile.Elf(elfClass: 1), "is an ELF file, but not a 64-bit x86 one" },
        { "elf-arm64", KernelFile.Elf(machine: 183), "is an ELF file for another processor (ELF machine 183)" },
        { "module", KernelFile.Elf(type: 1), "is an ELF file, but no kernel: a module, library or program" },
        { "program", KernelFile.Elf(segmentType: 3), "is an ELF program, not a kernel" },
        { "elf-cut", KernelFile.Elf()[..60], "is truncated" },
        { "elf-cut-table", KernelFile.Elf()[..100], "is truncated" },
        { "elf-far-table", KernelFile.Elf(table: ulong.MaxValue - 8), "is truncated" },
        { "elf-cut-segment", KernelFile.Elf()[..^1], "is truncated" },
        { "elf-far-segment", KernelFile.Elf(offset: ulong.MaxValue - 8), "is truncated" },
        { "elf-no-segments", KernelFile.Elf(segments: 0), "its program headers make no sense" },
        { "elf-many-segments", KernelFile.Elf(segments: 60000), "its program headers make no sense" },
        { "elf-more-file-than-memory", KernelFile.Elf(memorySize: 0x800), "its program headers make no sense" },
        { "elf-nothing-to-load", KernelFile.Elf(segmentType: 4), "its entry point lies outside of what it loads" },
        { "elf-entry", KernelFile.Elf(entry: 0x10), "its entry point lies outside of what it loads" },
        { "elf-low", KernelFile.Elf(physical: 0x1000), "wants to be loaded to 0x1000; kernels begin at 1 MiB" },
        { "elf-large", KernelFile.Elf(memorySize: 64 * MiB), "is too large for the machine's memory: it needs 80 MiB" },
        { "elf-absurd", KernelFile.Elf(memorySize: ulong.MaxValue), "is too large for the machine's memory" },
        { "elf-high", KernelFile.Elf(physical: ulong.MaxValue - 0xFFF), "is too large for the machine's memory" },
    };

    public void Dispose()
    {
        _directory.Dispose();
        _memory.Dispose();
    }

    [Theory]
    [MemberData(nameof(BadKernels))]
    public void A_bad_kernel(string name, byte[] content, string expected)
    {
        string path = _directory.Write(name, content);
        Expect($"The kernel {path} ", expected, path);
    }

    [Fact]
    public void A_missing_kernel() =>
        Expect($"The kernel {_directory.File("none")} does not exist", "", _directory.File("none"));

    [Fact]
    public void A_directory() => Expect($"The kernel {_directory.Path} is a directory", "", _directory.Path);

    [Fact]
    public void A_path_through_a_file() =>
        Expect("The kernel ", "cannot be opened: Not a directory", _directory.Write("file", [1]) + "/vmlinuz");

    [Fact]
    public void A_pipe_is_refused_without_waiting_for_somebody_to_write_to_it()
    {
        string path = _directory.File("pipe");
        HostTool.Run("mkfifo", _directory.Path, "pipe");
        Stopwatch watch = Stopwatch.StartNew();
        Expect($"The kernel {path} is not a regular file", "", path);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void A_device_is_refused() => Expect("The kernel /dev/zero ", "", "/dev/zero");

    [Fact]
    public void A_bad_initrd()
    {
        string kernel = _directory.Write("kernel", KernelFile.BzImage());
        Expect($"The initrd {_directory.File("none")} does not exist", "", kernel, _directory.File("none"));
        Expect("The initrd ", "is empty", kernel, _directory.Write("empty", []));
        string large = _directory.File("large");
        using (FileStream sparse = new(large, FileMode.CreateNew)) sparse.SetLength(48L * MiB);
        Expect("The initrd ", "too large for the machine's memory: it needs 65 MiB, and has 64 MiB", kernel, large);
        using (FileStream sparse = new(large, FileMode.Open)) sparse.SetLength(1L << 40);
        Expect("The initrd ", "is too large for the machine's memory", kernel, large);
    }

    [Fact]
    public void A_command_line_that_is_too_long()
    {
        string kernel = _directory.Write("kernel", KernelFile.BzImage(commandLineSize: 100));
        Expect("The command line is ", "101 bytes, and the kernel takes 100", kernel, null, new string('x', 101));
        Expect("The command line is ", "102 bytes, and the kernel takes 100", kernel, null, new string('ä', 51));
        LinuxLoader.Load(new LinuxBootConfig(kernel, null, new string('x', 100)), _memory.Guest, default);
    }

    [Fact]
    public void A_command_line_with_a_zero_in_it() =>
        Expect("The command line contains a zero", "", _directory.Write("kernel", KernelFile.BzImage()), null, "a\0b");

    [Fact]
    public void Failures_leave_no_file_open()
    {
        string path = _directory.Write("kernel", [1, 2, 3]);
        for (int i = 0; i < 10; i++) Expect("The kernel ", "is not a Linux kernel", path);
        Assert.DoesNotContain(path, Directory.GetFiles("/proc/self/fd").Select(fd => new FileInfo(fd).LinkTarget));
    }

    private static byte[] Patched(int length, params (int Offset, string Text)[] patches)
    {
        byte[] content = new byte[length];
        foreach ((int offset, string text) in patches) Encoding.Latin1.GetBytes(text).CopyTo(content, offset);
        return content;
    }

    private void Expect(string start, string rest, string kernel, string? initrd = null, string commandLine = "")
    {
        BootImageException error = Assert.Throws<BootImageException>(
            () => LinuxLoader.Load(new LinuxBootConfig(kernel, initrd, commandLine), _memory.Guest, new Gpa(0)));
        Assert.StartsWith(start, error.Message);
        Assert.Contains(rest, error.Message);
        Assert.DoesNotContain('\n', error.Message);
    }
}
