using System.Text.Json;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// QEMU and this program write the same chains by turns, over cluster sizes, disk sizes, bases and depths; then both,
/// and a byte array, must agree on every layer.
/// </summary>
public sealed class InteropMatrixTests : IDisposable
{
    private const int Writes = 12;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<int, long, DiskFormat, int> Shapes
    {
        get
        {
            return [.. from clusterBytes in (int[])[4096, 65536, 2 << 20]
                       from diskBytes in (long[])[(1 << 20) + 512, 24 << 20]
                       from format in (DiskFormat[])[DiskFormat.Raw, DiskFormat.Qcow2]
                       from depth in (int[])[1, 3]
                       select (clusterBytes, diskBytes, format, depth)];
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Both_see_the_same_disk(int clusterBytes, long diskBytes, DiskFormat baseFormat, int depth)
    {
        Random random = new(depth);
        byte[] model = DiskIo.RandomBytes((int)diskBytes, 1);
        File.WriteAllBytes(_folder["raw"], model);
        if (baseFormat == DiskFormat.Raw) File.Move(_folder["raw"], _folder["0"]);
        else Qemu.Img("convert", "-f", "raw", "-O", "qcow2", "-o", $"cluster_size={clusterBytes}", _folder["raw"], _folder["0"]);
        DiskFormat below = baseFormat;
        for (int layer = 1; layer <= depth; layer++)
        {
            string path = _folder[$"{layer}"];
            Qcow2Image.Create(path, diskBytes, $"{layer - 1}", below, clusterBytes);
            below = DiskFormat.Qcow2;
            WriteOurs(path, model, random);
            WriteTheirs(path, model, random);
            WriteOurs(path, model, random);
            Qemu.AssertClean(path);
        }

        string top = _folder[$"{depth}"];
        using (IDiskLayer disk = DiskChain.Open(top, DiskFormat.Qcow2, readOnly: true))
            Assert.True(model.AsSpan().SequenceEqual(disk.ReadAll()));
        File.WriteAllBytes(_folder["model"], model);
        Qemu.Img("compare", "-f", "qcow2", "-F", "raw", top, _folder["model"]);
        AssertSameMap(top);
    }

    private static void WriteOurs(string path, byte[] model, Random random)
    {
        using IDiskLayer disk = DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false);
        for (int i = 0; i < Writes; i++)
        {
            (int offset, int length) = Range(model, random);
            if (i % 4 == 0)
            {
                disk.WriteZeroes(offset, length, mayUnmap: i % 8 == 0);
                model.AsSpan(offset, length).Clear();
                continue;
            }

            byte[] bytes = DiskIo.RandomBytes(length, random.Next());
            disk.WriteBytes(offset, bytes);
            bytes.CopyTo(model, offset);
        }
    }

    private static void WriteTheirs(string path, byte[] model, Random random)
    {
        List<string> commands = [];
        for (int i = 0; i < Writes; i++)
        {
            (int offset, int length) = Range(model, random);
            model.AsSpan(offset, length).Fill((byte)(i % 3 == 0 ? 0 : i));
            commands.Add(i % 3 == 0 ? $"write -z{(i % 2 == 0 ? "u" : "")} {offset} {length}" : $"write -P {i} {offset} {length}");
        }

        Qemu.Io(path, "qcow2", [.. commands]);
    }

    private static (int Offset, int Length) Range(byte[] model, Random random)
    {
        int first = random.Next(model.Length / 512);
        return (first * 512, Math.Min(random.Next(1, 400), model.Length / 512 - first) * 512);
    }

    /// <summary>What the top layer holds, by its own map, is what <c>qemu-img map</c> calls depth 0.</summary>
    private static void AssertSameMap(string path)
    {
        using Qcow2Image image = Qcow2Image.Open(path, readOnly: true);
        using JsonDocument map = JsonDocument.Parse(Qemu.Img("map", "--output=json", "-f", "qcow2", path));
        foreach (JsonElement part in map.RootElement.EnumerateArray())
        {
            long start = part.GetProperty("start").GetInt64();
            long end = start + part.GetProperty("length").GetInt64();
            while (start < end)
            {
                Qcow2.Extent extent = image.Lookup(start, end - start);
                bool isHere = part.GetProperty("depth").GetInt32() == 0;
                Assert.Equal(isHere, extent.Kind != Qcow2.ExtentKind.Absent);
                if (isHere && part.GetProperty("data").GetBoolean())
                {
                    Assert.Equal(Qcow2.ExtentKind.Data, extent.Kind);
                    Assert.Equal(part.GetProperty("offset").GetInt64() + start - part.GetProperty("start").GetInt64(), extent.Host);
                }

                start += extent.Length;
            }
        }
    }
}
