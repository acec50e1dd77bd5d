package lanjie.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;
import org.ahocorasick.trie.Emit;
import org.ahocorasick.trie.Trie;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorSupplier;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The same job shape as lanjie in Kafka Streams: read calls and SMS, look both numbers up, count per caller, scan the
 * text, one decision as JSON for every event. {@code Peer BOOTSTRAP PREFIX NUMBERS PATTERNS STATE_FOLDER}; both files
 * have one entry a line.
 */
public final class Peer {
    private static final long BUCKET_MS = 300_000; // two of them make the window of 10 minutes
    private static final int MANY = 200; // events of one caller in a window
    private static final int PATTERN_HITS = 4; // in one text

    private final long[] numbers;
    private final Set<Long> prefixes;
    private final Trie trie;
    private final ObjectMapper json = new ObjectMapper();

    private Peer(Path numbers, Path patterns) throws IOException {
        List<String> lines = Files.readAllLines(numbers, StandardCharsets.US_ASCII);
        this.numbers = lines.stream().filter(line -> !line.endsWith("*")).mapToLong(Peer::e164).sorted().toArray();
        this.prefixes = lines.stream()
                .filter(line -> line.endsWith("*"))
                .map(line -> Long.parseLong("86" + line.substring(0, line.length() - 1)))
                .collect(Collectors.toSet());
        this.trie = Trie.builder().addKeywords(Files.readAllLines(patterns, StandardCharsets.UTF_8)).build();
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        String prefix = args[1];
        Peer peer = new Peer(Path.of(args[2]), Path.of(args[3]));
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(
                        List.of(prefix + "telecom.calls.v1", prefix + "telecom.sms.v1"),
                        Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .processValues(peer.new Deciders())
                .to(prefix + "intercept.decisions.v1", Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings(args[0], prefix, args[4]));
        CountDownLatch ended = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) {
                ended.countDown();
            }
        });
        streams.start();
        ended.await();
        System.exit(1);
    }

    private static Properties settings(String bootstrap, String prefix, String folder) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "streams");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 512 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        return settings;
    }

    /** One of them a task, with the windows of its partition. */
    private final class Deciders implements FixedKeyProcessorSupplier<byte[], byte[], byte[]> {
        @Override
        public FixedKeyProcessor<byte[], byte[], byte[]> get() {
            return new Decider();
        }

        @Override
        public Set<StoreBuilder<?>> stores() {
            // In memory and without a changelog, as lanjie: the input topic is what windows are made again from.
            return Set.of(Stores.keyValueStoreBuilder(
                            Stores.inMemoryKeyValueStore("windows"), Serdes.Long(), Serdes.Long())
                    .withLoggingDisabled()
                    .withCachingDisabled());
        }
    }

    private final class Decider implements FixedKeyProcessor<byte[], byte[], byte[]> {
        private FixedKeyProcessorContext<byte[], byte[]> context;
        private KeyValueStore<Long, Long> windows;

        @Override
        public void init(FixedKeyProcessorContext<byte[], byte[]> context) {
            this.context = context;
            this.windows = context.getStateStore("windows");
        }

        @Override
        public void process(FixedKeyRecord<byte[], byte[]> record) {
            try {
                context.forward(record.withValue(decide(json.readTree(record.value()), windows)));
            } catch (IOException | NumberFormatException error) {
                throw new IllegalStateException("no event", error); // the workload has none of these
            }
        }
    }

    private byte[] decide(JsonNode event, KeyValueStore<Long, Long> windows) throws JsonProcessingException {
        long a = e164(event.get("a_number").textValue());
        long b = e164(event.get("b_number").textValue());
        ObjectNode decision = json.createObjectNode();
        ArrayNode reasons = json.createArrayNode();
        listed(a, "LIST_BLOCK", reasons);
        listed(b, "LIST_BLOCK_CALLEE", reasons);
        long count = count(windows, a, event.get("time").longValue());
        if (count > MANY) {
            reasons.addObject().put("code", "MANY").put("detail", count);
        }
        JsonNode text = event.get("text");
        if (text != null) {
            Collection<Emit> hits = trie.parseText(folded(text.textValue()));
            if (hits.size() >= PATTERN_HITS) {
                Emit first = hits.iterator().next();
                reasons.addObject().put("code", "TEXT").put("start", first.getStart()).put("end", first.getEnd());
            }
        }
        decision.set("event_id", event.get("id"));
        decision.set("kind", event.get("kind"));
        decision.set("time", event.get("time"));
        decision.put("subject", "+" + a);
        decision.put("action", reasons.isEmpty() ? "allow" : "label");
        decision.put("score", (double) reasons.size());
        decision.put("lists", "1").put("rules", "1");
        decision.set("reasons", reasons);
        return json.writeValueAsBytes(decision);
    }

    private void listed(long number, String code, ArrayNode reasons) {
        boolean under = prefixes.contains(number / 10_000); // 86 and seven digits, of 86 and eleven
        if (under || Arrays.binarySearch(numbers, number) >= 0) {
            reasons.addObject().put("code", code).put("detail", under ? "prefix" : "number");
        }
    }

    /** Two buckets of a caller in one long: which bucket it is now, how many in it, how many in the one before. */
    private static long count(KeyValueStore<Long, Long> windows, long caller, long time) {
        Long held = windows.get(caller);
        long bucket = time / BUCKET_MS;
        long now = 0;
        long before = 0;
        if (held != null) {
            long then = held >>> 32;
            now = then == bucket ? held >>> 16 & 0xffff : 0;
            before = then == bucket ? held & 0xffff : then == bucket - 1 ? held >>> 16 & 0xffff : 0;
        }
        now = Math.min(now + 1, 0xffff);
        windows.put(caller, bucket << 32 | now << 16 | before);
        return now + before;
    }

    private static long e164(String number) {
        return Long.parseLong(number.length() == 11 && number.charAt(0) == '1' ? "86" + number : number);
    }

    private static String folded(String text) {
        return Normalizer.normalize(text, Normalizer.Form.NFKC).toLowerCase(Locale.ROOT);
    }
}
