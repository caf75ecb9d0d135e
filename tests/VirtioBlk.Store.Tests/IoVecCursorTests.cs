using Kvm.Interop;

namespace VirtioBlk.Store.Tests;

public sealed class IoVecCursorTests
{
    [Fact]
    public void Pieces_cover_every_byte_once_and_in_order()
    {
        Random random = new(7);
        for (int round = 0; round < 500; round++)
        {
            IoVec[] vectors = new IoVec[random.Next(1, 9)];
            for (int i = 0; i < vectors.Length; i++) vectors[i] = new IoVec(i * 1000, (nuint)random.Next(0, 6));
            List<nint> expected = Bytes(vectors);
            IoVecCursor cursor = new(vectors, new IoVec[vectors.Length]);
            List<nint> actual = [];
            while (actual.Count < expected.Count)
                actual.AddRange(Bytes(cursor.Take(random.Next(0, expected.Count - actual.Count + 1))));
            Assert.Equal(expected, actual);
        }
    }

    private static List<nint> Bytes(ReadOnlySpan<IoVec> vectors)
    {
        List<nint> addresses = [];
        foreach (IoVec vector in vectors)
        {
            for (nint i = 0; i < (nint)vector.Length; i++) addresses.Add(vector.Base + i);
        }

        return addresses;
    }
}
